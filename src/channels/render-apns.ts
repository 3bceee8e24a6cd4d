import type { Message } from './channel.ts';
import { type ApsDictionary, renderAps } from './render-aps.ts';
import { type PushPayload, renderPush } from './render-push.ts';

/** What an iOS app gets by APNs: the alert, and beside it what a {@link PushPayload} has besides. */
export interface ApnsPayload extends Omit<PushPayload, 'title' | 'subtitle' | 'body'> {
  aps: ApsDictionary;
}

/** The payload of an alert by APNs (https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification). Pure. */
export function renderApns(message: Message): ApnsPayload {
  const { title: _, subtitle: __, body: ___, ...rest } = renderPush(message);
  return { aps: renderAps(message.content), ...rest };
}
