import { createHash } from 'node:crypto';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  NoSchemaIntrospectionCustomRule,
  type OperationDefinitionNode,
  type OperationTypeNode,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { compileObjectCount, type ObjectCount } from './count-objects.ts';
import { checkDocument, checkText } from './document-limits.ts';
import { compilePrice, type Price } from './price.ts';

/** One operation of a document. */
export interface PreparedOperation {
  node: OperationDefinitionNode;
  type: OperationTypeNode;
  /** Null: it has none. */
  name: string | null;
  price: Price;
  /** What an answer has cost. */
  countObjects: ObjectCount;
}

/** A document that may be executed: within all limits, and valid. */
export interface PreparedDocument {
  /** `sha256:` and the text's hash in hex. */
  documentId: string;
  text: string;
  document: DocumentNode;
  operations: readonly PreparedOperation[];
}

/** Parsed, validated and priced once, or what is wrong with it. */
export type Preparation = PreparedDocument | { errors: readonly GraphQLError[] };

/** @default 20 // mistakes that are told of one document */
const mistakesMax = 20;

/** The name of a text among registered operations: `sha256:` and its hash in hex. */
export function documentIdOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/**
 * Reads, checks, validates and prices a document. Whatever it is, this takes a time that its length bounds.
 *
 * @param isSchemaHidden whoever asks may not know the schema: no introspection, and no `Did you mean …?`.
 */
export function prepareDocument(text: string, schema: GraphQLSchema, isSchemaHidden: boolean): Preparation {
  try {
    checkText(text);
    const document = parse(text);
    checkDocument(document);
    const rules = isSchemaHidden ? [...specifiedRules, NoSchemaIntrospectionCustomRule] : specifiedRules;
    const errors = validate(schema, document, rules, { maxErrors: mistakesMax, hideSuggestions: isSchemaHidden });
    if (errors.length > 0) return { errors };
    const operations = document.definitions.flatMap((node) =>
      node.kind === Kind.OPERATION_DEFINITION
        ? [
            {
              node,
              type: node.operation,
              name: node.name?.value ?? null,
              price: compilePrice(schema, document, node),
              countObjects: compileObjectCount(document, node),
            },
          ]
        : [],
    );
    return { documentId: documentIdOf(text), text, document, operations };
  } catch (error) {
    if (error instanceof GraphQLError) return { errors: [error] };
    throw error;
  }
}

/** Characters of all texts that are kept prepared; what was not used for longest goes first. @default 4_194_304 */
const keptCharactersMax = 4 * 1024 * 1024;

/** As {@link prepareDocument}, for each text once: what passed is kept, for those who may know the schema and for others. */
export interface Preparer {
  /** What is kept of a text; undefined: it has to be read. */
  recall(text: string, isSchemaHidden: boolean): PreparedDocument | undefined;
  prepare(text: string, isSchemaHidden: boolean): Preparation;
}

/** Makes one that has read nothing yet. */
export function createPreparer(schema: GraphQLSchema): Preparer {
  const options = { maxSize: keptCharactersMax, sizeCalculation: ({ text }: PreparedDocument) => text.length + 1 };
  const open = new LRUCache<string, PreparedDocument>(options);
  const hidden = new LRUCache<string, PreparedDocument>(options);
  return {
    recall: (text, isSchemaHidden) => (isSchemaHidden ? hidden : open).get(text),
    prepare(text, isSchemaHidden) {
      const prepared = prepareDocument(text, schema, isSchemaHidden);
      if ('document' in prepared) (isSchemaHidden ? hidden : open).set(text, prepared);
      return prepared;
    },
  };
}
