import { readFile } from 'node:fs/promises';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What starts processes, by its name in a test file. */
const startsProcesses =
  /\b(startProgram|runCommand|startTwoGateways|changeOver|useGatewayProcesses|stopUnderLoad|startEmbeddedPostgres)\b/;

/** The part of the run over which files that start processes are spread. */
const spreadOver = 0.75;

/**
 * The usual order (longest first, as far as that is known), but files that start processes are spread over the first three
 * quarters of it. They are small and take long: by size they would all come last. And a start takes a core for a second or two:
 * all of them at once would wait for each other.
 */
export class ProgramsSpread extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const texts = await Promise.all(sorted.map(({ moduleId }) => readFile(moduleId, 'utf8')));
    const programs = sorted.filter((_, index) => startsProcesses.test(texts[index] ?? ''));
    const others = sorted.filter((file) => !programs.includes(file));
    const distance = (others.length * spreadOver) / programs.length;
    const spread = programs.flatMap((file, index) => [
      file,
      ...others.slice(Math.floor(index * distance), Math.floor((index + 1) * distance)),
    ]);
    return [...spread, ...others.slice(Math.floor(programs.length * distance))];
  }
}
