import { DomainError } from '../errors.ts';
import type { Channel, Orchestration } from '../generated/prisma/enums.ts';

/** By which channels, and by which first. */
export interface OrchestrationInput {
  channels?: readonly Channel[] | null | undefined;
  /** @default ALL */
  orchestration?: Orchestration | null | undefined;
  fallbackAfterSeconds?: number | null | undefined;
}

/** In the form that a notification keeps. */
export interface Orchestrated {
  channels: Channel[];
  orchestration: Orchestration;
  fallbackAfterSeconds: number | null;
}

/** @default 259_200 // seconds: as long as a time to live may be */
const fallbackAfterSecondsMax = 72 * 3600;

/**
 * @param namesInstallations whether a target names installations, which are reached by push only
 * @throws DomainError `VALUE_INVALID`
 */
export function parseOrchestration(input: OrchestrationInput, namesInstallations: boolean): Orchestrated {
  const channels = [...new Set(input.channels ?? [])];
  const { orchestration, fallbackAfterSeconds = null } = input;
  if (input.channels && channels.length === 0) {
    throw new DomainError('VALUE_INVALID', 'Name a channel, or leave the field out.', ['channels']);
  }
  if (namesInstallations && channels.length > 0 && !channels.includes('PUSH')) {
    throw new DomainError('VALUE_INVALID', 'Installations are reached by PUSH only.', ['channels']);
  }
  if (fallbackAfterSeconds !== null && orchestration !== 'FALLBACK') {
    throw new DomainError('VALUE_INVALID', 'Only with FALLBACK does a channel follow another.', [
      'fallbackAfterSeconds',
    ]);
  }
  if (fallbackAfterSeconds !== null && (fallbackAfterSeconds < 1 || fallbackAfterSeconds > fallbackAfterSecondsMax)) {
    const words = `The next channel follows after 1 to ${fallbackAfterSecondsMax} seconds.`;
    throw new DomainError('VALUE_INVALID', words, ['fallbackAfterSeconds']);
  }
  return { channels, orchestration: orchestration ?? 'ALL', fallbackAfterSeconds };
}
