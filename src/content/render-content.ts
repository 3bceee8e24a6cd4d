import type { MessageButton, MessageContent } from '../channels/channel.ts';
import { isHttpUrl } from '../users/user-attributes.ts';
import type { CompiledContent } from './compile-content.ts';
import { fieldsOf } from './content.ts';
import { type Budget, BudgetSpentError, renderText } from './liquid.ts';

/** A JSON object whose values a text may name. */
type Values = Readonly<Record<string, unknown>>;

/** For whom a content is rendered. What is null has no values. */
export interface RenderValues {
  /** Which variation; null: what is said to everybody. */
  variation: number | null;
  user: Values | null;
  installation: Values | null;
  event: Values | null;
  /** What the send gives; over what the content's own `data` says. */
  data: Values | null;
  labels: Values;
}

/**
 * Why a content cannot be rendered: `TEMPLATE_FAILED` a filter cannot do what it is told, `TEMPLATE_LIMIT` it takes too long or
 * becomes too long, `URL_INVALID` what came out is no http or https URL, `BODY_EMPTY` nothing is left to say.
 */
export type RenderFailureCode = 'TEMPLATE_FAILED' | 'TEMPLATE_LIMIT' | 'URL_INVALID' | 'BODY_EMPTY';

/** What became of a content. */
export type Rendering =
  | { kind: 'rendered'; content: MessageContent; variation: number | null }
  | { kind: 'failed'; code: RenderFailureCode; variation: number | null };

/** Time for all texts of one message: a hundred times what one usually takes. @default 100 // milliseconds */
const renderMs = 100;
/** Characters of all texts of one message, when rendered. @default 65_536 */
const renderedCharactersMax = 65_536;

/**
 * The message for one reader. Texts stay texts: each channel escapes them as its form needs it. A title, subtitle, icon, image or
 * url of which nothing is left is left out, and so is a button without a label. Never throws. Nothing but what is given is read.
 */
export function renderContent(compiled: CompiledContent, values: RenderValues): Rendering {
  const { variation } = values;
  const endsAt = performance.now() + renderMs;
  const cpuBefore = process.cpuUsage();
  const first = tryToRender(compiled, values, endsAt);
  // The time may have gone while the process was stopped: what has taken it itself is not tried again.
  const wasStopped = first === 'TEMPLATE_LIMIT' && performance.now() >= endsAt && cpuMsSince(cpuBefore) < renderMs / 2;
  const result = wasStopped ? tryToRender(compiled, values, performance.now() + renderMs) : first;
  return typeof result === 'string'
    ? { kind: 'failed', code: result, variation }
    : { kind: 'rendered', content: result, variation };
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** What is thrown where a rendered text is not what its field wants. */
class UnusableTextError extends Error {
  override readonly name = 'UnusableTextError';
  readonly code: RenderFailureCode;

  constructor(code: RenderFailureCode) {
    super(code);
    this.code = code;
  }
}

function tryToRender(
  compiled: CompiledContent,
  values: RenderValues,
  endsAt: number,
): MessageContent | RenderFailureCode {
  const budget = { endsAt, charactersLeft: renderedCharactersMax };
  try {
    return renderFields(compiled, values, budget);
  } catch (error) {
    if (error instanceof UnusableTextError) return error.code;
    return error instanceof BudgetSpentError ? 'TEMPLATE_LIMIT' : 'TEMPLATE_FAILED';
  }
}

function renderFields({ content, texts }: CompiledContent, values: RenderValues, budget: Budget): MessageContent {
  const fields = fieldsOf(content, values.variation);
  const { user, installation, event, labels } = values;
  const named = {
    user: user ?? {},
    installation: installation ?? {},
    event: event ?? {},
    data: { ...fields.data, ...values.data },
    label: labels,
  };
  const toText = (text: string): string => {
    const parsed = texts.get(text);
    return renderText(parsed ?? { constant: text, templates: [], paths: [] }, named, budget);
  };
  const toLine = (text: string | null): string | null => (text === null ? null : toText(text).trim() || null);
  const toUrl = (text: string | null): string | null => {
    const url = toLine(text);
    if (url !== null && !isHttpUrl(url)) throw new UnusableTextError('URL_INVALID');
    return url;
  };
  const toButton = (button: MessageButton): MessageButton[] => {
    const label = toLine(button.label);
    return label === null ? [] : [{ label, url: toUrl(button.url), action: toLine(button.action) }];
  };
  const body = toText(fields.body);
  if (body.trim() === '') throw new UnusableTextError('BODY_EMPTY');
  return {
    title: toLine(fields.title),
    body,
    subtitle: toLine(fields.subtitle),
    icon: toUrl(fields.icon),
    image: toUrl(fields.image),
    url: toUrl(fields.url),
    buttons: fields.buttons.flatMap(toButton),
    data: fields.data && renderData(fields.data, toText),
  };
}

/** Data with its texts rendered; keys, numbers and the rest stay as they are. */
function renderData(
  data: Readonly<Record<string, unknown>>,
  toText: (text: string) => string,
): Record<string, unknown> {
  const renderValue = (value: unknown): unknown => {
    if (typeof value === 'string') return toText(value);
    if (Array.isArray(value)) return value.map(renderValue);
    return typeof value === 'object' && value !== null ? renderData({ ...value }, toText) : value;
  };
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, renderValue(value)]));
}
