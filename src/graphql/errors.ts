import { DomainError, type ErrorCode, errorCodes } from '../errors.ts';
import { builder } from './builder.ts';

const codes = Object.keys(errorCodes).filter((code): code is ErrorCode => code in errorCodes);

/** Codes of refusals. */
export const ErrorCodeEnum = builder.enumType('ErrorCode', {
  description: 'Why nothing was done.',
  values: Object.fromEntries(codes.map((code) => [code, { description: errorCodes[code] }])),
});

const ErrorInterface = builder.interfaceRef<DomainError>('Error').implement({
  description: 'Why nothing was done. A result union has one member for each refusal that its mutation knows.',
  fields: (t) => ({
    code: t.field({
      type: ErrorCodeEnum,
      description: 'Which refusal this is, for programs. Codes do not change.',
      resolve: (error) => error.code,
    }),
    message: t.exposeString('message', { description: 'For people who write programs. Its words may change.' }),
    path: t.field({
      type: ['String'],
      nullable: true,
      description: 'The input field it is about, from the input down: `["userIdentity", "emails", "0"]`.',
      resolve: (error) => error.inputPath && [...error.inputPath],
    }),
  }),
});

/** The errors plugin tells refusals apart by class; verbs throw one class, and each of these stands for one code of it. */
function refusalClass(code: ErrorCode) {
  return class extends DomainError {
    static override [Symbol.hasInstance](error: unknown): boolean {
      return error instanceof DomainError && error.code === code;
    }
  };
}

const refusals = new Map(codes.map((code) => [code, refusalClass(code)]));
for (const [code, refusal] of refusals) {
  builder.objectType(refusal, {
    name: toTypeName(code),
    interfaces: [ErrorInterface],
    description: errorCodes[code],
    isTypeOf: (error) => error instanceof refusal,
  });
}

/**
 * The `errors` option of a mutation that may be refused with `known`: makes them members of its result union.
 */
export function refusedWith(...known: readonly ErrorCode[]) {
  return { types: known.flatMap((code) => refusals.get(code) ?? []) };
}

function toTypeName(code: string): string {
  const words = code.split('_').map((word) => word.charAt(0) + word.slice(1).toLowerCase());
  return `${words.join('')}Error`;
}
