/* Preloaded into Lychgate: its JavaScript is busy for 2 s again and again. */
setTimeout(function busy() {
  const until = Date.now() + 2000;
  while (Date.now() < until);
  setTimeout(busy, 1);
}, 30);
