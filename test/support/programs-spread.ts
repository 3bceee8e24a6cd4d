import { readFile } from 'node:fs/promises';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Where files start processes, and what starts them elsewhere. */
const places = /\/test\/(process|journey|cli)\//;
const starters = /\b(startProgram|runCommand|useGatewayProcesses|startEmbeddedPostgres)\b/;

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
    const programs = sorted.filter((file, index) => places.test(file.moduleId) || starters.test(texts[index] ?? ''));
    const others = sorted.filter((file) => !programs.includes(file));
    const distance = (others.length * spreadOver) / programs.length;
    const spread = programs.flatMap((file, index) => [
      file,
      ...others.slice(Math.floor(index * distance), Math.floor((index + 1) * distance)),
    ]);
    return [...spread, ...others.slice(Math.floor(programs.length * distance))];
  }
}
