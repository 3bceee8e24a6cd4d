import type { SettingName } from './settings.ts';

/** What `when` (with that `value`, else with any) makes required, and what it takes besides. */
interface Requirement {
  when: SettingName;
  value?: string;
  needs: SettingName[];
  /** Optional with it. @default [] */
  takes?: SettingName[];
  /** Whether `needs` and `takes` mean nothing without a requirement that names them. */
  isOnlyUse: boolean;
}

const twilioAccount: SettingName[] = ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN'];

const requirements: Requirement[] = [
  { when: 'DATABASE_URL', needs: ['DATA_ENCRYPTION_KEY'], isOnlyUse: false },
  { when: 'SMTP_URL', needs: ['MAIL_FROM'], isOnlyUse: true },
  { when: 'SMS_PROVIDER', value: 'infobip', needs: ['SMS_BASE_URL', 'SMS_FROM', 'INFOBIP_API_KEY'], isOnlyUse: true },
  {
    when: 'SMS_PROVIDER',
    value: 'twilio',
    needs: ['SMS_FROM', ...twilioAccount],
    takes: ['SMS_BASE_URL'],
    isOnlyUse: true,
  },
  { when: 'SMS_PROVIDER', value: 'smpp', needs: ['SMS_BASE_URL', 'SMS_FROM'], isOnlyUse: true },
  {
    when: 'WHATSAPP_PROVIDER',
    value: 'infobip',
    needs: ['WHATSAPP_BASE_URL', 'WHATSAPP_FROM', 'INFOBIP_API_KEY'],
    isOnlyUse: true,
  },
  {
    when: 'WHATSAPP_PROVIDER',
    value: 'twilio',
    needs: ['WHATSAPP_FROM', ...twilioAccount],
    takes: ['WHATSAPP_BASE_URL'],
    isOnlyUse: true,
  },
  { when: 'FCM_SERVICE_ACCOUNT', needs: [], takes: ['FCM_BASE_URL'], isOnlyUse: true },
  {
    when: 'APNS_KEY',
    needs: ['APNS_KEY_ID', 'APNS_TEAM_ID', 'APNS_TOPIC'],
    takes: ['APNS_BASE_URL'],
    isOnlyUse: true,
  },
  { when: 'VAPID_PUBLIC_KEY', needs: ['VAPID_PRIVATE_KEY'], isOnlyUse: true },
];

type Environment = Record<string, string | undefined>;

/** What is required by a setting that is given, and what is given without one that it is of use to; a sentence each. */
export function listMissing(given: Environment): string[] {
  const missing = requirements
    .filter((requirement) => applies(requirement, given))
    .flatMap(({ when, needs }) =>
      needs.filter((name) => !given[name]).map((name) => `${name} is required with ${when}.`),
    );
  const names = new Set(requirements.flatMap(namesOf));
  return [...missing, ...[...names].flatMap((name) => listUseless(name, given))];
}

function listUseless(name: SettingName, given: Environment): string[] {
  const users = requirements.filter((requirement) => requirement.isOnlyUse && namesOf(requirement).includes(name));
  if (!given[name] || users.length === 0 || users.some((user) => applies(user, given))) return [];
  // Where a provider is named that there is not, that is the mistake.
  if (users.some((user) => isUnknown(user, given))) return [];
  const uses = [...Map.groupBy(users, ({ when }) => when)].map(([when, [first, ...others]]) =>
    first?.value === undefined || others.length > 0 ? when : `${when}=${first.value}`,
  );
  return [`${name} has no use without ${uses.join(' or ')}.`];
}

const namesOf = ({ needs, takes = [] }: Requirement): SettingName[] => [...needs, ...takes];

function applies({ when, value }: Requirement, given: Environment): boolean {
  return Boolean(given[when]) && (value ?? given[when]) === given[when];
}

function isUnknown({ when, value }: Requirement, given: Environment): boolean {
  const isKnown = requirements.some((other) => other.when === when && other.value === given[when]);
  return Boolean(given[when]) && value !== undefined && !isKnown;
}
