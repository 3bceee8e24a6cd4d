import type { MessageContent } from '../channels/channel.ts';
import { renderEmail } from '../channels/render-email.ts';
import { renderPush } from '../channels/render-push.ts';
import { renderSms } from '../channels/render-sms.ts';
import { renderWhatsApp } from '../channels/render-whatsapp.ts';
import { DomainError } from '../errors.ts';
import { type EventInput, parseEvent } from '../events/parse-event.ts';
import { Channel, Platform } from '../generated/prisma/enums.ts';
import { findUserId, type UserReferenceInput } from '../identity/user-reference.ts';
import type { Database } from '../storage/database.ts';
import { compileContent } from './compile-content.ts';
import { findWarnings, type Warning } from './find-warnings.ts';
import { exampleIds } from './push-payload.ts';
import { readReaderOf } from './read-readers.ts';
import { type RenderFailureCode, renderContent } from './render-content.ts';
import { parseSendData } from './send-data.ts';
import { freezeContent, parseSaid, type SaidInput } from './settle-content.ts';
import { countSmsSegments, type SmsSegments } from './sms-segments.ts';

/** What is to be looked at, as whom. */
export interface PreviewRequest extends SaidInput {
  user: UserReferenceInput;
  /** Absent: every channel. */
  channels?: readonly Channel[] | null | undefined;
  /** Of pushes. Absent: every platform. */
  platform?: Platform | null | undefined;
  data?: Record<string, unknown> | null | undefined;
  event?: EventInput | null | undefined;
}

/** A message as one client would get it. */
export interface RenderedPreview {
  channel: Channel;
  /** PUSH only. */
  platform: Platform | null;
  /** Which variation, by its place; null: what is said to everybody. */
  variation: number | null;
  /** The fields with their placeholders filled in; null: it cannot be rendered. */
  content: MessageContent | null;
  failure: RenderFailureCode | null;
  /** In the form of the channel, as `outboxMessages` shows it. */
  rendered: object | null;
  /** SMS only. */
  sms: SmsSegments | null;
}

/** What becomes of a message. */
export interface NotificationPreview {
  messages: RenderedPreview[];
  warnings: Warning[];
}

/**
 * Renders what would be sent to a user, and says what each client drops or cuts of it. Sends and saves nothing; whether anything
 * may be sent to the user is not asked.
 *
 * @throws DomainError `NOT_FOUND` (the user, a template, a segment), `VALUE_INVALID`, `LIMIT_EXCEEDED`, `EMAIL_INVALID`,
 * `PHONE_INVALID`.
 */
export async function previewNotification(db: Database, request: PreviewRequest): Promise<NotificationPreview> {
  const { channels, platform, data = null } = request;
  const said = parseSaid(request);
  parseSendData(data);
  const event = request.event ? parseEvent(request.event, ['event']).properties : null;
  const userId = await findUserId(db, request.user, ['user']);
  if (userId === null) throw new DomainError('NOT_FOUND', 'There is no such user.', ['user']);
  const compiled = compileContent(await freezeContent(db, said));
  const messages: RenderedPreview[] = [];
  for (const outlet of listOutlets(channels ?? Object.values(Channel), platform ?? null)) {
    const reader = await readReaderOf(db, compiled, { userId, ...outlet });
    const rendering = renderContent(compiled, { ...reader, event, data });
    const { variation } = rendering;
    const content = rendering.kind === 'rendered' ? rendering.content : null;
    messages.push({
      ...outlet,
      variation,
      content,
      failure: rendering.kind === 'failed' ? rendering.code : null,
      rendered: content && toForm(content, outlet),
      sms: content && outlet.channel === 'SMS' ? countSmsSegments(renderSms(content)) : null,
    });
  }
  const warnings = messages.flatMap(({ channel, platform, content }) =>
    content === null ? [] : findWarnings(content, { channels: [channel], platform }),
  );
  return { messages, warnings };
}

interface Outlet {
  channel: Channel;
  platform: Platform | null;
}

function listOutlets(channels: readonly Channel[], platform: Platform | null): Outlet[] {
  const platforms = platform === null ? Object.values(Platform) : [platform];
  return [...new Set(channels)].flatMap((channel): Outlet[] =>
    channel === 'PUSH' ? platforms.map((each) => ({ channel, platform: each })) : [{ channel, platform: null }],
  );
}

/** What the channel would send; null: it could not. */
function toForm(content: MessageContent, { channel, platform }: Outlet): object | null {
  switch (channel) {
    case 'EMAIL':
      return renderEmail(content);
    case 'SMS':
      return { text: renderSms(content) };
    case 'WHATSAPP': {
      const rendered = renderWhatsApp(content);
      return typeof rendered === 'string' ? null : rendered;
    }
    case 'IN_APP':
      return content;
    case 'PUSH':
      return renderPush({ content, platform, ...exampleIds });
  }
}
