import { readFile } from 'node:fs/promises';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What starts processes, by its name in a test file. */
const startsProcesses =
  /\b(startProgram|runCommand|startTwoGateways|changeOver|useGatewayProcesses|stopUnderLoad|startEmbeddedPostgres)\b/;

/**
 * The usual order (longest first, as far as that is known), but files that start processes before all others: where nothing
 * is known the largest are taken for the longest, and these are small and long. At the end everything would wait for them.
 */
export class ProgramsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const texts = await Promise.all(sorted.map(({ moduleId }) => readFile(moduleId, 'utf8')));
    const isFirst = new Set(sorted.filter((_, index) => startsProcesses.test(texts[index] ?? '')));
    return [...isFirst, ...sorted.filter((file) => !isFirst.has(file))];
  }
}
