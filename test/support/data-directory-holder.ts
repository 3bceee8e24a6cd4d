// A program for tests: opens the data directory that its argument names, says how that went, and holds it until its
// standard input ends.
import { StartupError } from '../../src/errors.ts';
import { openDataDirectory } from '../../src/storage/data-directory.ts';

const [, , path = ''] = process.argv;
try {
  const directory = await openDataDirectory(path);
  process.stdout.write('open\n');
  for await (const _ of process.stdin);
  await directory.close();
} catch (error) {
  if (!(error instanceof StartupError)) throw error;
  process.stdout.write(`${error.message}\n`);
}
