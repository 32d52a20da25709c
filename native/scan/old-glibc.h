/* Since glibc 2.34 the threads are in libc under new versions of their names. The
 * old names are there too, and the same functions: with them the ready-made addon
 * loads on an older glibc as well. Not for the tests, where sanitizers stand in
 * for these functions. */
#if defined LG_OLD_GLIBC && defined __GLIBC__
#if defined __x86_64__
#define LG_OLDEST "GLIBC_2.2.5"
#elif defined __aarch64__
#define LG_OLDEST "GLIBC_2.17"
#endif
#ifdef LG_OLDEST
__asm__(".symver pthread_create, pthread_create@" LG_OLDEST);
__asm__(".symver pthread_join, pthread_join@" LG_OLDEST);
__asm__(".symver pthread_sigmask, pthread_sigmask@" LG_OLDEST);
#endif
#endif
