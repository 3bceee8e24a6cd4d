import '../apps/api-key-schema.ts';
import '../apps/audit-schema.ts';
import '../apps/schema.ts';
import '../apps/viewer-schema.ts';
import '../deliveries/schema.ts';
import '../identity/personalize-schema.ts';
import '../identity/schema.ts';
import '../installations/schema.ts';
import '../notifications/outbox-schema.ts';
import '../notifications/schema.ts';
import '../notifications/subscriptions.ts';
import '../partners/schema.ts';
import '../recipients/schema.ts';
import '../segments/membership-schema.ts';
import '../segments/schema.ts';
import '../segments/segment-mutations-schema.ts';
import '../users/schema.ts';
import './errors.ts';
import './scalars.ts';
import { builder } from './builder.ts';
import { denyByDefault } from './default-deny.ts';

/** The whole schema. A concept takes part by its line above. What does not say who may see it is not built. */
export const schema = denyByDefault(builder.toSchema());
