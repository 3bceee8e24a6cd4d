import { expect, test } from 'vitest';
import { CsvRecords, splitFields } from '../../src/imports/csv-records.ts';
import { lineBytesMax, readLines } from '../../src/imports/file-lines.ts';
import { useImports } from '../support/imports.ts';

const { write } = useImports();

async function recordsOf(content: string | Uint8Array, { byteOffset = 0, lineNumber = 0 } = {}) {
  const records = new CsvRecords(',');
  const found = [];
  for await (const lines of readLines(await write(content), { byteOffset, lineNumber }))
    found.push(...records.push(lines));
  return [...found, ...records.end()];
}

test('quoted fields hold delimiters, quotes and line ends, and line numbers are those of the file', async () => {
  const records = await recordsOf('a,b\r\n"x, ""y""","1\r\n2"\r\n\r\nlast,\n');
  expect(records.map(({ number, endNumber, content }) => [number, endNumber, content])).toEqual([
    [1, 1, ['a', 'b']],
    [2, 3, ['x, "y"', '1\r\n2']],
    [5, 5, ['last', '']],
  ]);
  expect(splitFields('"open', ',')).toBe('unclosed');
  expect(splitFields('a "b" c', ',')).toBe('stray');
  expect(splitFields('"a"b', ',')).toBe('stray');
});

test('a quote that is never closed costs its own line only', async () => {
  const records = await recordsOf('ok,1\nbad,"open\nfine,2\nfine,"3"\nlast,4');
  expect(records.map(({ number, content, mistake }) => [number, content ?? mistake])).toEqual([
    [1, ['ok', '1']],
    [2, expect.stringContaining('quote')],
    [3, ['fine', '2']],
    [4, ['fine', '3']],
    [5, ['last', '4']],
  ]);
});

test('a line that is too long, not UTF-8, or holds NUL costs only itself, and nothing of it is kept', async () => {
  const long = Buffer.alloc(lineBytesMax + 300_000, 'x');
  const content = Buffer.concat([
    Buffer.from('\uFEFFok\n'),
    long,
    Buffer.from('\n\xff\xfe\n', 'latin1'),
    Buffer.from('a\0b\nšok ✓'),
  ]);
  const records = await recordsOf(content);
  expect(records.map(({ number, content: fields, mistake }) => [number, fields ?? mistake])).toEqual([
    [1, ['ok']],
    [2, `A line has at most ${lineBytesMax} bytes.`],
    [3, 'This is not UTF-8.'],
    [4, 'A line must not hold the character NUL.'],
    [5, ['šok ✓']],
  ]);
  expect(records.at(-1)?.endOffset).toBe(content.length);
});

test('reading goes on after any record as if it had not stopped', async () => {
  const content = 'h,é\n"a\n""b""",1\nc,"2"\nbad,"\nd,3\n';
  const all = await recordsOf(content);
  for (const [index, { endOffset, endNumber }] of all.entries()) {
    const rest = await recordsOf(content, { byteOffset: endOffset, lineNumber: endNumber });
    expect(rest).toEqual(all.slice(index + 1));
  }
});
