import type { Caller } from '../apps/caller.ts';
import type { Deployment } from '../deployment.ts';
import type { Hub } from '../stream/hub/hub.ts';
import type { Loaders } from './loaders.ts';

/** What every resolver is given. One per operation; `loaders` is renewed for each event of a subscription. */
export interface Context extends Deployment {
  /** Null: nobody. Nothing but introspection, and receipts by their token, is open to nobody. */
  caller: Caller | null;
  /** Installations that this operation has registered: who was given the token may read their users. */
  registeredInstallationIds: Set<string>;
  /** Deliveries that this operation has reported on: who may tell may read. */
  reportedDeliveryIds: Set<string>;
  loaders: Loaders;
  hub: Hub;
  /** Lets web push endpoints of registrations be plain http, loopback or private. */
  arePrivateEndpointsAllowed: boolean;
  /** With which browsers subscribe to web push: the deployment's VAPID public key, base64url. */
  webPushPublicKey: string;
}
