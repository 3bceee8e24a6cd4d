import { builder } from '../graphql/builder.ts';
import { eventNameDescription, eventPropertiesDescription } from './events-schema.ts';

/** The event of a notification, for a send and for its preview. */
export const NotificationEventInput = builder.inputType('NotificationEventInput', {
  description: 'What people did, because of which they are written to.',
  fields: (t) => ({
    name: t.string({ required: true, description: eventNameDescription }),
    properties: t.field({ type: 'JSONObject', description: eventPropertiesDescription }),
  }),
});
