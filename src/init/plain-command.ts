/**
 * A command line without options, in an environment without variables of ours: nothing
 * is to be parsed, and what would parse it need not be loaded.
 * @returns COMMAND's words, or undefined when there is something to parse or to complain of
 */
export function plainCommand(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): readonly string[] | undefined {
  const command = argv[0] === '--' ? argv.slice(1) : argv;
  if (command.length === 0 || (command === argv && argv[0]?.startsWith('-'))) return undefined;
  for (const name in env) if (/^(LYCHGATE|TINI)_/.test(name)) return undefined;
  return command;
}
