import { Context, defaultOperators, type Emitter, Liquid, type Template, Token, toValueSync } from 'liquidjs';

// Placeholders are Liquid: `{{ user.firstName | default: "friend" }}`. Of the library only what is named here is there: nothing that
// reads another template, changes what it was given, or computes keys and hashes.
const tagNames = 'assign break capture case comment continue cycle echo for if raw unless #'.split(' ');
const filterNames = `
  abs append at_least at_most capitalize ceil compact concat date default divided_by downcase escape escape_once first floor join
  json last lstrip map minus modulo newline_to_br plus prepend remove remove_first replace replace_first reverse round rstrip size
  slice sort sort_natural split strip strip_newlines sum times truncate truncatewords uniq upcase url_encode where
`
  .trim()
  .split(/\s+/);

/** Characters of one text. @default 65_536 */
const textCharactersMax = 65_536;
/** Entries and characters that filters and loops make of one text, as liquidjs counts them. @default 1_000_000 */
const memoryLimit = 1_000_000;

const engine = createEngine();

function createEngine(): Liquid {
  const liquid = new Liquid({
    // Own values of what is given, and never what is inherited.
    ownPropertyOnly: true,
    strictFilters: true,
    // Templates by name are looked up here, and not in files: there are none.
    templates: {},
    parseLimit: textCharactersMax,
    operators: createOperators(),
    locale: 'en',
    timezoneOffset: 0,
  });
  for (const name of Object.keys(liquid.tags).filter((name) => !tagNames.includes(name))) delete liquid.tags[name];
  for (const name of Object.keys(liquid.filters).filter((name) => !filterNames.includes(name))) {
    liquid.unregisterFilter(name);
  }
  countWhatIsJoined(liquid);
  countWhatIsSetAside(liquid);
  return liquid;
}

/** As in liquidjs, but each comparison looks at the time: one condition may hold thousands of them, each of all that there is. */
function createOperators(): typeof defaultOperators {
  const comparisons = Object.entries(defaultOperators).filter(([name]) => name !== 'not');
  const timed = comparisons.map(([name, compare]) => [
    name,
    (left: unknown, right: unknown, context: Context) => {
      context.renderLimit.check(performance.now());
      return Reflect.apply(compare, null, [left, right, context]);
    },
  ]);
  return { ...defaultOperators, ...Object.fromEntries(timed) };
}

/**
 * Counts the characters of what `concat` joins, and not its entries alone: it is what makes many of one long text, which filters and
 * `capture` then put side by side before anybody looks how much that is.
 */
function countWhatIsJoined(liquid: Liquid): void {
  const { concat } = liquid.filters;
  if (typeof concat !== 'function') throw new Error('liquidjs has no filter "concat".');
  liquid.registerFilter('concat', function (...lists) {
    const joined: unknown = concat.apply(this, lists);
    this.context.memoryLimit.use(JSON.stringify(joined).length);
    return joined;
  });
}

/**
 * Counts what a tag renders into a buffer of its own, as `capture` does: liquidjs does not, and a condition would put all of it side
 * by side before any limit is looked at.
 */
function countWhatIsSetAside({ renderer }: Liquid): void {
  const renderTemplates = renderer.renderTemplates.bind(renderer);
  renderer.renderTemplates = (templates, context, emitter) =>
    renderTemplates(templates, context, emitter ?? createEmitter((count) => context.memoryLimit.use(count)));
}

/** Where a value stands that a text names: `user`, `firstName`. A part that is itself a value is null. */
export type ValuePath = readonly (string | number | null)[];

/** A text that was read. */
export interface ParsedText {
  /** The text itself, where it holds no placeholders. */
  readonly constant: string | null;
  readonly templates: readonly Template[];
  /** The values that it names. */
  readonly paths: readonly ValuePath[];
}

/** Reads a text. @throws Error that says what is wrong with its placeholders. */
export function parseText(text: string): ParsedText {
  if (!hasPlaceholders(text)) return { constant: text, templates: [], paths: [] };
  const templates = engine.parse(text);
  return { constant: null, templates, paths: pathsIn(templates) };
}

/**
 * The values that are named, each once. In a time that grows as the text does: liquidjs would count lines from the beginning of the
 * text for each value, to tell where it stands, which nobody asks; and what stands within brackets within brackets is a value of its
 * own, and is not to be spelled out again for each that it stands in.
 */
function pathsIn(templates: Template[]): ValuePath[] {
  const { getPosition } = Token.prototype;
  Token.prototype.getPosition = () => [0, 0];
  try {
    const named = Object.values(engine.analyzeSync(templates).globals).flat();
    const paths = named.map(({ segments }) => segments.map((part) => (typeof part === 'object' ? null : part)));
    return [...new Map(paths.map((path) => [JSON.stringify(path), path])).values()];
  } finally {
    Token.prototype.getPosition = getPosition;
  }
}

/** Whether a text is not the same for everybody. */
export function hasPlaceholders(text: string): boolean {
  return text.includes('{{') || text.includes('{%');
}

/** What one message may still take: shared by all of its texts. */
export interface Budget {
  /** By `performance.now()`. */
  endsAt: number;
  charactersLeft: number;
}

/** A text does not come to an end within its budget. */
export class BudgetSpentError extends Error {
  override readonly name = 'BudgetSpentError';
}

/**
 * Fills in the placeholders of a text. What cannot be stored or sent (NUL, half of a surrogate pair) is left out or replaced.
 *
 * @param values by their first name: JSON
 * @throws BudgetSpentError
 * @throws Error where a filter cannot do what it is told
 */
export function renderText({ constant, templates }: ParsedText, values: object, budget: Budget): string {
  const emitter = createEmitter((count) => {
    budget.charactersLeft -= count;
    if (budget.charactersLeft < 0) throw new BudgetSpentError();
  });
  if (constant !== null) {
    emitter.write(constant);
    return constant;
  }
  const renderLimit = budget.endsAt - performance.now();
  if (renderLimit <= 0) throw new BudgetSpentError();
  const context = new Context(values, engine.options, { sync: true, renderLimit, memoryLimit }, { liquid: engine });
  try {
    toValueSync(engine.renderer.renderTemplates([...templates], context, emitter));
  } catch (error) {
    const isSpent = performance.now() > budget.endsAt || budget.charactersLeft < 0 || isLimit(error);
    throw isSpent ? new BudgetSpentError('A text takes too long, or becomes too long.', { cause: error }) : error;
  }
  return emitter.buffer.replaceAll('\0', '').toWellFormed();
}

/** liquidjs tells of its limits in words only. A stack that overflows is one too: of tags within tags. */
function isLimit(error: unknown): boolean {
  return error instanceof Error && /limit exceeded|call stack|string length/i.test(error.message);
}

/** @param use is told how many characters come to it, before they do; it throws where they are too many */
function createEmitter(use: (count: number) => void): Emitter {
  return {
    buffer: '',
    write(value: unknown) {
      const text = toText(value);
      use(text.length);
      this.buffer += text;
    },
  };
}

/** A value as a text shows it: a list by its entries, an object as JSON, no value as nothing. */
function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '';
  if (Array.isArray(value)) return value.map(toText).join('');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
