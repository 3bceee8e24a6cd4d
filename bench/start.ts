import { startProgram } from '../test/support/program.ts';
import { makeTemporaryDirectory } from '../test/support/temporary-directory.ts';

// How long a person waits: from `node src/main.ts` until /ready answers 200, on the embedded database. The first start
// creates the database; a later one finds it.

const rounds = 5;
async function measure(directory: string): Promise<number> {
  const begun = performance.now();
  await using program = await startProgram({ DATA_DIR: directory });
  const readyMs = performance.now() - begun;
  await program.stop();
  return readyMs;
}

const first: number[] = [];
const later: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  const directory = await makeTemporaryDirectory();
  first.push(await measure(directory.path));
  later.push(await measure(directory.path));
  await directory.remove();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** One line: the median beside what is promised. */
function report(name: string, values: readonly number[], limitMs: number): void {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map((value) =>
    value.toFixed(0),
  );
  const ratio = (median(values) / limitMs).toFixed(2);
  process.stdout.write(`${name}: median ${middle} ms (${least} to ${most}), limit ${limitMs} ms, ratio ${ratio}\n`);
}

process.stdout.write(`Until /ready answers, ${rounds} rounds\n`);
report('first start', first, 15_000);
report('later start', later, 3_000);
