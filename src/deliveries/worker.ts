import type { Channels } from '../channels/registry.ts';
import type { Deployment } from '../deployment.ts';

/** What the jobs of one worker process work with. */
export interface Worker extends Deployment {
  channels: Channels;
  /** Aborts when the process stops: begin nothing new, give back what has not begun. */
  signal: AbortSignal;
  /** How long a claim holds without a renewal. A worker that dies keeps its claims for this long. @default 60 // seconds */
  leaseSeconds: number;
}
