// What should become of people, their names and their installations, in memory and one operation after another: a few lists,
// and no database. Users have no ids here: two worlds are the same if the same things belong together.

/** How an operation names a user. `lead`: by the id of the lead that an installation was registered with. */
export type Who = { name: string } | { email: string } | { device: number } | { lead: number };

export type Operation =
  | { kind: 'personalize'; device: number; name: string | null; email: string | null; force: boolean }
  | { kind: 'depersonalize'; device: number }
  | { kind: 'merge'; survivor: Who; merged: Who; allowAlias: boolean }
  | { kind: 'unmerge'; record: string };

/** What a caller was told: `ok` or a code, and the id of the merge record, if one was made. */
export interface Answer {
  code: string;
  record: string | null;
}

/** What an installation's lead has from the beginning. */
export interface Beginning {
  isPrimary: boolean;
  hasOptedOut: boolean;
  tags: string[];
  displayName: string | null;
}

interface Person {
  /** Which installation's first lead this is; null: it came later. */
  lead: number | null;
  own: Omit<Beginning, 'isPrimary'>;
  isCustomer: boolean;
  /** By name or e-mail address: whether it is an alias. */
  identifiers: Map<string, boolean>;
  /** By installation: whether it is the primary one. */
  devices: Map<number, boolean>;
  /** Who was merged into this one, oldest first. */
  members: {
    record: string;
    person: number;
    had: Pick<Person, 'identifiers' | 'devices'> & Pick<World, 'departures'>;
    kept: Set<number>;
  }[];
}

/** All there is. Persons are never removed: who was merged is somebody's member. */
export interface World {
  people: Person[];
  /** By installation: how often it has left somebody, other than by a merge. */
  departures: number[];
}

const isName = (identifier: string) => !identifier.includes('@');
const shownName = ({ identifiers }: Person) => [...identifiers].some(([value, isAlias]) => isName(value) && !isAlias);

export function beginWorld(beginnings: readonly Beginning[]): World {
  return {
    departures: beginnings.map(() => 0),
    people: beginnings.map(({ isPrimary, ...own }, device) => ({
      ...newPerson(own, device),
      devices: new Map([[device, isPrimary]]),
    })),
  };
}

function newPerson(
  own: Person['own'] = { hasOptedOut: false, tags: [], displayName: null },
  lead: number | null = null,
): Person {
  return { lead, own, isCustomer: false, identifiers: new Map(), devices: new Map(), members: [] };
}

const mergedInto = ({ people }: World, index: number) =>
  people.findIndex(({ members }) => members.some(({ person }) => person === index));

function living(world: World, index: number): number {
  const survivor = mergedInto(world, index);
  return survivor === -1 ? index : living(world, survivor);
}

const ownerOf = ({ people }: World, device: number) => people.findIndex(({ devices }) => devices.has(device));
const holderOf = ({ people }: World, value: string) => people.findIndex(({ identifiers }) => identifiers.has(value));

function find(world: World, who: Who): number {
  if ('name' in who) return holderOf(world, who.name);
  if ('email' in who) return holderOf(world, who.email);
  return 'device' in who ? ownerOf(world, who.device) : living(world, who.lead);
}

/** Does an operation in a copy of the world. `record`: what a merge record is called, should one be made. */
export function perform(before: World, operation: Operation, record: string | null): { world: World; answer: Answer } {
  const world = structuredClone(before);
  switch (operation.kind) {
    case 'personalize':
      return { world, answer: personalize(world, operation, record) };
    case 'depersonalize':
      return { world, answer: depersonalize(world, operation.device) };
    case 'merge':
      return { world, answer: merge(world, operation, record) };
    case 'unmerge':
      return { world, answer: unmerge(world, operation.record) };
  }
}

const ok = (record: string | null = null): Answer => ({ code: 'ok', record });
const refused = (code: string): Answer => ({ code, record: null });

function at(world: World, index: number): Person {
  const person = world.people[index];
  if (!person) throw new Error('There is no such person in the model.');
  return person;
}

function personalize(
  world: World,
  { device, name, email, force }: Operation & { kind: 'personalize' },
  record: string | null,
): Answer {
  const given = [name, email].filter((value) => value !== null);
  const holders = new Set(given.map((value) => holderOf(world, value)).filter((index) => index !== -1));
  if (holders.size > 1) return refused('AMBIGUOUS_PERSONALIZE_CANDIDATES');
  const [holder = null] = holders;
  const currentIndex = ownerOf(world, device);
  const current = at(world, currentIndex);
  if (holder !== null && name !== null && shownName(at(world, holder)) && !at(world, holder).identifiers.has(name)) {
    return refused('IDENTIFIER_IMMUTABLE');
  }
  const isOther = current.identifiers.size > 0 && holder !== currentIndex;
  if (isOther && !force) return refused('PERSONALIZATION_IMPOSSIBLE');
  let answer = ok();
  // An order in which it makes a record is none of an operation that made none.
  const called = record ?? 'a record';
  if (holder !== null && holder !== currentIndex && !isOther) {
    join(world, { survivor: holder, merged: currentIndex, record: called });
    answer = ok(called);
  } else if (isOther) {
    leave(world, device, holder ?? world.people.push(newPerson()) - 1);
  }
  const person = at(world, ownerOf(world, device));
  for (const value of given) if (!person.identifiers.has(value)) person.identifiers.set(value, false);
  person.isCustomer = true;
  return answer;
}

function leave(world: World, device: number, to: number): void {
  world.departures[device] = (world.departures[device] ?? 0) + 1;
  at(world, ownerOf(world, device)).devices.delete(device);
  at(world, to).devices.set(device, false);
}

function depersonalize(world: World, device: number): Answer {
  const { identifiers, devices } = at(world, ownerOf(world, device));
  if (identifiers.size > 0 || devices.size > 1) leave(world, device, world.people.push(newPerson()) - 1);
  return ok();
}

function merge(
  world: World,
  { survivor: survivorRef, merged: mergedRef, allowAlias }: Operation & { kind: 'merge' },
  record: string | null,
): Answer {
  const [survivor, merged] = [find(world, survivorRef), find(world, mergedRef)];
  if (survivor === -1 || merged === -1) return refused('NOT_FOUND');
  const [one, other] = [at(world, survivor), at(world, merged)];
  const isPossible =
    survivor !== merged &&
    (one.isCustomer || !other.isCustomer) &&
    (allowAlias || !(shownName(one) && shownName(other)));
  if (!isPossible) return refused('MERGE_CONFLICT');
  join(world, { survivor, merged, record: record ?? 'a record' });
  return ok(record ?? 'a record');
}

function join(world: World, { survivor, merged, record }: { survivor: number; merged: number; record: string }): void {
  const [one, other] = [at(world, survivor), at(world, merged)];
  const toAlias = shownName(one);
  const hasPrimary = [...one.devices.values()].includes(true);
  const had = { identifiers: other.identifiers, devices: other.devices, departures: [...world.departures] };
  const kept = new Set(
    [...other.devices].filter(([, isPrimary]) => isPrimary && !hasPrimary).map(([device]) => device),
  );
  one.members.push({ record, person: merged, had, kept });
  for (const [value, isAlias] of other.identifiers) one.identifiers.set(value, isAlias || (isName(value) && toAlias));
  for (const [device, isPrimary] of other.devices) one.devices.set(device, isPrimary && !hasPrimary);
  other.identifiers = new Map();
  other.devices = new Map();
}

function unmerge(world: World, record: string): Answer {
  const survivor = world.people.findIndex(({ members }) => members.at(-1)?.record === record);
  // Undone already, not the newest, or of somebody who was merged since.
  if (survivor === -1 || living(world, survivor) !== survivor) return refused('STATE_CONFLICT');
  const one = at(world, survivor);
  const member = one.members.pop();
  if (!member) throw new Error('It was found above.');
  const other = at(world, member.person);
  for (const [value, isAlias] of member.had.identifiers) {
    if (one.identifiers.delete(value)) other.identifiers.set(value, isAlias);
  }
  const { had } = member;
  const hasStayed = (device: number) => world.departures[device] === had.departures[device];
  const back = [...had.devices].filter(([device]) => one.devices.has(device) && hasStayed(device));
  const hasPrimary = back.some(([device]) => one.devices.get(device));
  for (const [device, wasPrimary] of back) {
    const isAgain = wasPrimary && !member.kept.has(device) && !hasPrimary;
    other.devices.set(device, one.devices.get(device) === true || isAgain);
    one.devices.delete(device);
  }
  return ok();
}

/** What belongs together, one line for each living person who has anything by which somebody could tell. */
export function describeWorld(world: World): string[] {
  return world.people
    .flatMap((person, index) => (living(world, index) === index ? [describe(world, person)] : []))
    .filter((line) => line !== null)
    .sort();
}

function describe(world: World, person: Person): string | null {
  const family = listFamily(world, person);
  return describePerson({
    leads: family.flatMap(({ lead }) => (lead === null ? [] : [lead])),
    isCustomer: person.isCustomer,
    identifiers: [...person.identifiers].map(([value, isAlias]) => (isAlias ? `${value} (alias)` : value)),
    devices: [...person.devices].map(([device, isPrimary]) => (isPrimary ? `${device} (primary)` : `${device}`)),
    hasOptedOut: family.some(({ own }) => own.hasOptedOut),
    tags: [...new Set(family.flatMap(({ own }) => own.tags))],
    displayName: family.map(({ own }) => own.displayName).find((value) => value !== null) ?? null,
  });
}

/** A person and all who were merged into that one, in the order in which their values came. */
function listFamily(world: World, person: Person): Person[] {
  return [person, ...person.members.flatMap((member) => listFamily(world, at(world, member.person)))];
}

/** What can be told of a person, in the model and in the database. */
export interface Description {
  leads: number[];
  isCustomer: boolean;
  identifiers: string[];
  devices: string[];
  hasOptedOut: boolean;
  tags: string[];
  displayName: string | null;
}

/** The same text for the same person; null for one who has nothing. */
export function describePerson(description: Description): string | null {
  const { leads, identifiers, devices, tags, isCustomer, hasOptedOut, displayName } = description;
  if (leads.length + identifiers.length + devices.length === 0) return null;
  const sorted = [leads.toSorted((a, b) => a - b), identifiers.toSorted(), devices.toSorted(), tags.toSorted()];
  return JSON.stringify([...sorted, { isCustomer, hasOptedOut, displayName }]);
}
