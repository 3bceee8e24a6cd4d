import { NoSchemaIntrospectionCustomRule } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../graphql/context.ts';

/** In production the schema is told to server keys only, on every transport. */
export function useIntrospectionRule({ isProduction }: { isProduction: boolean }): Plugin<Context> {
  return {
    onValidate({ context, addValidationRule }) {
      if (isProduction && context.caller?.kind !== 'SERVER') addValidationRule(NoSchemaIntrospectionCustomRule);
    },
  };
}
