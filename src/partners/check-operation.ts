import {
  type GraphQLField,
  type GraphQLSchema,
  getVariableValues,
  isListType,
  isNonNullType,
  OperationTypeNode,
  TypeInfo,
  typeFromAST,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { operationCostMax } from '../apps/operation-cost-max.ts';
import { DomainError } from '../errors.ts';
import { type PreparedDocument, type PreparedOperation, prepareDocument } from '../operations/prepare-operation.ts';
import { pageSizeMax } from '../operations/price.ts';
import { listVariablesOfPeople } from './variables-of-people.ts';
import { listVariablesOfTexts } from './variables-of-texts.ts';

/** A document that somebody is to be given to run, and how. */
export interface OperationToCheck {
  document: string;
  /** Who is to run it: a partner, an app's clients, or somebody who is not known here, who may do everything. */
  runBy: 'partner' | 'app' | 'anyone';
  /** Values that its variables have, whoever runs it. */
  pinnedVariables: Readonly<Record<string, unknown>>;
  /** Whether only the people of an app or a segment are seen. */
  isScoped: boolean;
  isMutationGranted: boolean;
}

/** What is known of an operation that may be registered. */
export interface CheckedOperation {
  documentId: string;
  name: string;
  /** Its price with full pages. */
  cost: number;
}

/** @default 65_536 // characters of a document */
const documentCharactersMax = 65_536;

/** The rights by which a partner can come to call a root field, beside those that it is granted. */
const rightsOfPartners = ['anyone', 'readSome'];

const costMaxOf = {
  partner: operationCostMax.PARTNER,
  app: operationCostMax.INSTALLATION,
  anyone: operationCostMax.SERVER,
};

/**
 * Whether an operation may be registered: it is the only one of its document, valid, asks for nothing that who runs it could
 * not be answered, and costs no more than they may spend. A partner's takes nobody's id from whoever runs it, unless it sees
 * the people of its scope only, and no text that may hold placeholders.
 *
 * @param path of the operation in the input, for the refusal.
 * @throws DomainError `VALUE_INVALID`, `LIMIT_EXCEEDED`.
 */
export function checkOperation(
  schema: GraphQLSchema,
  asked: OperationToCheck,
  path: readonly string[] = [],
): CheckedOperation {
  const refuse = (message: string, field = 'document') => new DomainError('VALUE_INVALID', message, [...path, field]);
  if (asked.document.length > documentCharactersMax) {
    const message = `A document has at most ${documentCharactersMax} characters.`;
    throw new DomainError('LIMIT_EXCEEDED', message, [...path, 'document']);
  }
  const prepared = prepareDocument(asked.document, schema, false);
  if ('errors' in prepared) throw refuse(prepared.errors.map(({ message }) => message).join(' '));
  const [operation, another] = prepared.operations;
  if (!operation || another) throw refuse('A registered document has exactly one operation.');
  if (asked.runBy === 'partner' && operation.type === OperationTypeNode.MUTATION && !asked.isMutationGranted) {
    throw refuse('It is a mutation, and none are granted: register it with grantMutations, or leave it out.');
  }
  const mistake = findFieldMistake(schema, prepared, { ...asked, type: operation.type });
  if (mistake !== null) throw refuse(mistake);
  const pinMistake = findPinMistake(schema, operation, asked.pinnedVariables);
  if (pinMistake !== null) throw refuse(pinMistake, 'pinnedVariables');
  if (asked.runBy === 'partner') {
    const openMistake = findOpenVariableMistake(schema, { ...asked, prepared, type: operation.type });
    if (openMistake !== null) throw refuse(openMistake);
  }
  const cost = priceFully(schema, operation, asked.pinnedVariables);
  if (typeof cost === 'string') throw refuse(cost);
  const costMax = costMaxOf[asked.runBy];
  if (cost > costMax) {
    const message = `With full pages it costs ${cost} points, and ${costMax} are the most: ask for smaller pages.`;
    throw new DomainError('LIMIT_EXCEEDED', message, [...path, 'document']);
  }
  return { documentId: prepared.documentId, name: operation.name ?? firstFieldOf(prepared), cost };
}

type Grants = Pick<OperationToCheck, 'runBy' | 'isScoped' | 'isMutationGranted'> & { type: OperationTypeNode };

/** What is wrong with what is asked for: fields of the root, also those that come by a fragment. Null: nothing. */
function findFieldMistake(
  schema: GraphQLSchema,
  { document }: PreparedDocument,
  { runBy, isScoped, isMutationGranted, type }: Grants,
): string | null {
  const rights = new Set(rightsOfPartners);
  if (!isScoped) rights.add('readAll');
  if (isMutationGranted) rights.add('write');
  const root = schema.getRootType(type);
  const typeInfo = new TypeInfo(schema);
  let mistake: string | null = null;
  const visitor = visitWithTypeInfo(typeInfo, {
    Field(node) {
      const name = node.name.value;
      if (name === '__schema' || name === '__type') mistake ??= 'A registered operation does not ask for the schema.';
      const field = typeInfo.getFieldDef();
      if (runBy !== 'partner' || !field || typeInfo.getParentType() !== root || name.startsWith('__')) return;
      const needed = authScopesOf(field);
      if (needed === null || needed.some((right) => rights.has(right))) return;
      mistake ??= needed.includes('readAll')
        ? `The field ${name} is for who may see everybody: an operation that has a scope may not ask for it.`
        : `The field ${name} is not for partners.`;
    },
  });
  visit(document, visitor);
  return mistake;
}

/** By which rights a root field may be called; null: it is decided at each call. */
function authScopesOf({ extensions }: GraphQLField<unknown, unknown>): string[] | null {
  const options: unknown = extensions.pothosOptions;
  if (typeof options !== 'object' || options === null || !('authScopes' in options)) return null;
  const { authScopes } = options;
  if (typeof authScopes !== 'object' || authScopes === null) return null;
  return Object.keys(authScopes);
}

function findPinMistake(
  schema: GraphQLSchema,
  { node }: PreparedOperation,
  pins: OperationToCheck['pinnedVariables'],
): string | null {
  const declared = node.variableDefinitions ?? [];
  for (const name of Object.keys(pins)) {
    if (name === '__proto__' || !declared.some(({ variable }) => variable.name.value === name)) {
      return `The operation declares no variable ${JSON.stringify(name)} that could be pinned.`;
    }
  }
  const pinned = declared.filter(({ variable }) => Object.hasOwn(pins, variable.name.value));
  const { errors } = getVariableValues(schema, pinned, pins);
  return errors ? errors.map(({ message }) => message).join(' ') : null;
}

/** What is wrong with the variables that whoever runs it gives values. Null: nothing. */
function findOpenVariableMistake(
  schema: GraphQLSchema,
  {
    prepared,
    pinnedVariables,
    isScoped,
    type,
  }: Pick<OperationToCheck, 'pinnedVariables' | 'isScoped'> & { prepared: PreparedDocument; type: OperationTypeNode },
): string | null {
  const findOpen = (names: ReadonlySet<string>) => [...names].find((name) => !Object.hasOwn(pinnedVariables, name));
  const isMutation = type === OperationTypeNode.MUTATION;
  const person = isScoped && !isMutation ? undefined : findOpen(listVariablesOfPeople(schema, prepared.document));
  if (person !== undefined) {
    const remedy = isMutation
      ? 'pin it (a scope limits what is read, not what a mutation changes).'
      : 'pin it, or give the operation a scope.';
    return `By the variable $${person} whoever runs it could name any person: ${remedy}`;
  }
  const text = findOpen(listVariablesOfTexts(schema, prepared.document));
  if (text === undefined) return null;
  const remedy = 'pin it, or write the text into the document or a template, and let a variable fill it in as `data`.';
  return `By the variable $${text} whoever runs it could have what is known of people written into a link: ${remedy}`;
}

/** The price when every page whose size is a variable is full; or what is wrong with a page that is pinned. */
function priceFully(
  schema: GraphQLSchema,
  { node, price }: PreparedOperation,
  pins: OperationToCheck['pinnedVariables'],
): number | string {
  const worst = new Map<string, unknown>(
    (node.variableDefinitions ?? []).map(({ variable, type }) => {
      const given = typeFromAST(schema, type);
      const nullable = isNonNullType(given) ? given.ofType : given;
      if (isListType(nullable)) return [variable.name.value, Array.from({ length: pageSizeMax })];
      return [variable.name.value, String(nullable) === 'Int' ? pageSizeMax : undefined];
    }),
  );
  try {
    return price({ ...Object.fromEntries(worst), ...pins });
  } catch (error) {
    if (error instanceof Error && 'extensions' in error) return error.message;
    throw error;
  }
}

function firstFieldOf({ operations }: PreparedDocument): string {
  const named = operations[0]?.node.selectionSet.selections.find((selection) => 'name' in selection);
  return named && 'name' in named ? named.name.value : 'anonymous';
}
