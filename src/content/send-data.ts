import { DomainError } from '../errors.ts';

/** @default 65_536 // bytes of the values that a send gives for its texts, as JSON */
const dataBytesMax = 65_536;

/** What a send gives for its texts, as JSON; null: nothing. @throws DomainError `LIMIT_EXCEEDED` */
export function parseSendData(data: Record<string, unknown> | null | undefined): string | null {
  const json = data ? JSON.stringify(data) : null;
  if (json === null || Buffer.byteLength(json) <= dataBytesMax) return json;
  throw new DomainError('LIMIT_EXCEEDED', `At most ${dataBytesMax} bytes.`, ['data']);
}
