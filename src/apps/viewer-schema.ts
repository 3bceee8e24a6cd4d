import { builder } from '../graphql/builder.ts';
import { refuseCaller } from '../graphql/refuse-caller.ts';
import { InstallationObject, installationById, ownInstallationId } from '../installations/schema.ts';
import { UserObject, userById } from '../users/schema.ts';
import type { Caller } from './caller.ts';
import { AppObject, appById } from './schema.ts';

const CallerKindEnum = builder.enumType('CallerKind', {
  description: 'What a caller has shown of itself.',
  values: {
    SERVER: { description: 'A server key.' },
    APP: { description: 'A publishable key of an app.' },
    INSTALLATION: { description: 'A token of an installation.' },
    PARTNER: { description: 'A key of a partner.' },
    DASHBOARD: { description: 'A key of a dashboard.' },
  },
});

export const ViewerObject = builder.objectRef<Caller>('Viewer').implement({
  description: 'Who calls.',
  authScopes: { readSome: true, app: true },
  fields: (t) => ({
    kind: t.expose('kind', { type: CallerKindEnum, description: 'By what it may call.' }),
    app: t.field({
      type: AppObject,
      nullable: true,
      description: 'The app of a publishable key or an installation; null for other callers.',
      resolve: (caller, _, { loaders }) => ('appId' in caller ? loaders.load(appById, caller.appId) : null),
    }),
    installation: t.field({
      type: InstallationObject,
      nullable: true,
      description: 'The installation that calls; null for other callers.',
      resolve: (caller, _, { loaders }) => {
        const id = ownInstallationId(caller);
        return id === null ? null : loaders.load(installationById, id);
      },
    }),
    user: t.field({
      type: UserObject,
      nullable: true,
      description: 'Whose the installation that calls is; null for other callers.',
      resolve: async (caller, _, { loaders }) => {
        const id = ownInstallationId(caller);
        const installation = id === null ? null : await loaders.load(installationById, id);
        return installation && loaders.load(userById, installation.userId);
      },
    }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: ViewerObject,
    authScopes: { readSome: true, app: true },
    description: 'Who calls, as this deployment knows it.',
    resolve: (_, __, { caller }) => {
      if (!caller) throw refuseCaller(caller);
      return caller;
    },
  }),
);
