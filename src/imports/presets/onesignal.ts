import { isTimeZone, toLanguage } from '../../users/user-attributes.ts';
import { type ConvertedTypes, type FieldWriter, findFieldWriter } from '../fields.ts';
import { type Layout, leftOut } from '../layout.ts';
import type { LineDraft } from '../line-draft.ts';

// The columns of https://documentation.onesignal.com/reference/csv-export, which has a row for each subscription, and of
// older exports: what `device_type` says is an e-mail address or a phone number has it in `identifier`.
const [emailType, smsType] = ['11', '14'];

/** Columns of which nothing is imported. `timezone` is an offset in seconds, which knows no summer time. */
const ignored = new Set([
  ...['id', 'player_id', 'onesignal_id', 'session_count', 'timezone', 'game_version', 'app_version', 'sdk', 'ad_id'],
  ...['device_os', 'device_model', 'last_active', 'playtime', 'amount_spent', 'created_at', 'badge_count', 'rooted'],
  ...['ip', 'location', 'lat', 'long', 'lng', 'web_auth', 'web_p256', 'test_type', 'unsubscribed_at', 'subscribed_at'],
]);

/** Columns of which any can say that the subscription is none any more. */
const optOuts: Readonly<Record<string, (text: string) => boolean>> = {
  invalid_identifier: isTrue,
  // 1 and greater is subscribed; 0 and less is not, for one reason or another.
  notification_types: (text) => Number(text) <= 0,
  subscribed: (text) => !isTrue(text),
};

/** What a row says of its subscription. */
interface Subscription {
  deviceType: string;
  identifier: string;
  isOptedOut: boolean;
}

/**
 * The layout of OneSignal's CSV export. Users are those of `external_user_id`, else of the address; tags, which are names with
 * values, are custom attributes; an e-mail or SMS subscription that is no longer one opts its address out. Of a push
 * subscription its user is imported, and not its token. A row that names nobody is none of a user.
 */
export function oneSignalLayout(types: ConvertedTypes): Layout {
  const row: Subscription = { deviceType: '', identifier: '', isOptedOut: false };
  const columns = new Map<string, FieldWriter>([
    ['device_type', (_, value) => void Object.assign(row, { deviceType: String(value) })],
    ['identifier', (_, value) => void Object.assign(row, { identifier: String(value) })],
    ['language', language],
    ['timezone_id', timeZone],
  ]);
  for (const [column, isOptOut] of Object.entries(optOuts)) {
    columns.set(column, (_, value) => {
      if (isOptOut(String(value))) row.isOptedOut = true;
    });
  }
  for (const [column, field] of fields) columns.set(column, getWriter(field, types));
  return {
    findColumn: (name) => columns.get(name) ?? (ignored.has(name) ? leftOut : null),
    knownColumns: [...columns.keys(), ...ignored],
    begin: () => void Object.assign(row, { deviceType: '', identifier: '', isOptedOut: false }),
    finish: (draft) => takeSubscription(draft, row),
  };
}

const fields = [
  ['external_user_id', 'externalUserId'],
  ['external_id', 'externalUserId'],
  ['email', 'email'],
  ['phone_number', 'phone'],
  ['country', 'country'],
  ['tags', 'customAttributes'],
] as const;

function getWriter(field: (typeof fields)[number][1], types: ConvertedTypes): FieldWriter {
  const writer = findFieldWriter(field, { types });
  if (!writer) throw new Error('The columns are those of our fields.');
  return writer;
}

function takeSubscription(draft: LineDraft, { deviceType, identifier, isOptedOut }: Subscription): void {
  if (deviceType === emailType) {
    if (identifier !== '' && !draft.emails.includes(identifier)) draft.emails.unshift(identifier);
    if (isOptedOut) draft.optOuts.add('EMAIL');
  }
  if (deviceType === smsType) {
    if (identifier !== '' && !draft.phones.includes(identifier)) draft.phones.unshift(identifier);
    if (isOptedOut) draft.optOuts.add('SMS');
  }
}

/** What a device has reported, and nobody has chosen: what is none keeps no user back. */
function language(draft: LineDraft, value: unknown): void {
  const tag = toLanguage(String(value));
  if (tag !== null) draft.texts.preferredLanguage = tag;
}

/** As {@link language}. */
function timeZone(draft: LineDraft, value: unknown): void {
  if (isTimeZone(String(value))) draft.texts.timeZone = String(value);
}

function isTrue(text: string): boolean {
  return ['true', 't', '1', 'yes'].includes(text.toLowerCase());
}
