import type { Caller } from '../apps/caller.ts';
import type { Channels } from '../channels/registry.ts';
import type { Configured } from '../deliveries/app-channels.ts';
import type { Deployment } from '../deployment.ts';
import type { Hub } from '../stream/hub/hub.ts';
import type { Loaders } from './loaders.ts';

/** What whoever registered an operation lets it do. */
export interface Grant {
  /** Of the registration. */
  id: string;
  /** Values that variables have, whoever runs it. */
  pinnedVariables: Readonly<Record<string, unknown>>;
  isMutationGranted: boolean;
  /** Only users with an installation of this app are seen. Null: of any. */
  scopeAppId: string | null;
  /** Only members of this segment are seen. Null: of any and none. */
  scopeSegmentId: string | null;
}

/** What every resolver is given. One per operation; `loaders` is renewed for each event of a subscription. */
export interface Context extends Deployment {
  /** Null: nobody. Nothing but introspection, and receipts by their token, is open to nobody. */
  caller: Caller | null;
  /** Installations that this operation has registered: who was given the token may read their users. */
  registeredInstallationIds: Set<string>;
  /** Deliveries that this operation has reported on: who may tell may read. */
  reportedDeliveryIds: Set<string>;
  /** The registered operation that this is; null: a document of the caller's own. A partner's is never null. */
  operation: Grant | null;
  loaders: Loaders;
  hub: Hub;
  channels: Pick<Channels, 'listRoutes'>;
  /** Lets web push endpoints of registrations be plain http, loopback or private. */
  arePrivateEndpointsAllowed: boolean;
  /** Lets webhooks be so. */
  arePrivateWebhooksAllowed: boolean;
  /** With which browsers subscribe to web push: the deployment's VAPID public key, base64url. */
  webPushPublicKey: string;
  /** For which addresses there is something that sends, as a fan-out knows it. */
  findConfigured(): Promise<Configured>;
}
