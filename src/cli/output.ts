/** A line of a command's result, for whoever reads it or pipes it on. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line about a command, which is no part of its result. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}
