import type { Deployment } from '../deployment.ts';
import type { Tracing } from '../observability/tracing.ts';
import type { AppChannels } from './app-channels.ts';
import type { ChannelPauses } from './channel-pauses.ts';
import type { SendRates } from './send-rates.ts';

/** What the jobs of one worker process work with. */
export interface Worker extends Deployment {
  channels: AppChannels;
  tracing: Pick<Tracing, 'trace'>;
  /** Whose providers the environment configures. */
  defaultAppId: string;
  /** Which channels are down, as far as this process knows. */
  pauses: ChannelPauses;
  /** How fast messages go to providers. */
  rates: SendRates;
  /** Aborts when the process stops: begin nothing new, give back what has not begun. */
  signal: AbortSignal;
  /** Aborts a while after `signal`: what is being sent must end now. */
  sendSignal: AbortSignal;
  /** How long a claim holds without a renewal. A worker that dies keeps its claims for this long. @default 60 // seconds */
  leaseSeconds: number;
  /** How many users a fan-out takes in one transaction: an outcome of others waits for one at most. @default 5_000 */
  usersPerPage: number;
}
