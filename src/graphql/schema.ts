import '../apps/schema.ts';
import '../deliveries/schema.ts';
import '../identity/schema.ts';
import '../installations/schema.ts';
import '../notifications/outbox-schema.ts';
import '../notifications/schema.ts';
import '../notifications/subscriptions.ts';
import '../recipients/schema.ts';
import '../segments/schema.ts';
import '../users/schema.ts';
import './errors.ts';
import './scalars.ts';
import { builder } from './builder.ts';

/** The whole schema. A concept takes part by its line above. */
export const schema = builder.toSchema();
