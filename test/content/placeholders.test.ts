import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseText } from '../../src/content/liquid.ts';
import { installationNames, userNames } from '../../src/content/names.ts';
import { parseContent } from '../../src/content/parse-content.ts';
import { refuseEndlessTexts } from '../../src/content/refuse-endless-texts.ts';
import { DomainError } from '../../src/errors.ts';
import { renderBody, renderFor } from '../support/make-content.ts';

/** Code and path of the refusal; null: it is accepted. */
function refusalOf(input: Parameters<typeof parseContent>[0]): [string, string] | null {
  try {
    refuseEndlessTexts(parseContent(input), null, ['content']);
    return null;
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return [error.code, (error.inputPath ?? []).join('.')];
  }
}

const user = {
  firstName: 'Ada',
  lastName: null,
  birthday: '1815-12-10',
  preferredLanguage: 'en-GB',
  tags: ['vip', 'early'],
  customAttributes: { points: 19.9, balance: '12345678901234567890.123', 'loyalty points': 7, orders: [{ id: 'A1' }] },
};

describe('placeholders (rule M4)', () => {
  test.each([
    ['Hello {{ user.firstName | default: "friend" }}', 'Hello Ada'],
    ['Hello {{ user.lastName | default: "friend" }}', 'Hello friend'],
    ['{{ user.customAttributes.plan | default: "free" }}', 'free'],
    ['{{ user.customAttributes.points }} and {{ user.customAttributes.balance }}', '19.9 and 12345678901234567890.123'],
    ['{{ user.customAttributes["loyalty points"] | plus: 1 }}', '8'],
    ['{{ user.birthday }}, {{ user.birthday | date: "%d %B" }}', '1815-12-10, 10 December'],
    ['{{ user.tags | join: ", " }}', 'vip, early'],
    ['{% for order in user.customAttributes.orders %}{{ order.id }}{% endfor %}', 'A1'],
    ['{% if user.preferredLanguage == "en-GB" %}Cheers{% else %}Thanks{% endif %}', 'Cheers'],
    ['{{ event.items.first.name }} {{ data.order }} {{ label.price }}', 'Book 17 €5'],
    ['{{ installation.platform }}', 'WEB'],
    ['{% if user.tags contains "vip" %}You first{% endif %}', 'You first'],
    ['{{ data.missing }}{{ event.missing.deep }}!', '!'],
  ])('%s', (body, said) => {
    const values = {
      user,
      installation: { platform: 'WEB' },
      event: { items: [{ name: 'Book' }] },
      data: { order: 17 },
      labels: { price: '€5' },
    };
    expect(renderBody(body, values)).toBe(said);
  });

  test('stand in every text of a message, those of buttons and data too', () => {
    const name = '{{ user.firstName }}';
    const rendering = renderFor(
      {
        title: name,
        body: name,
        subtitle: name,
        icon: `https://example.com/${name}.png`,
        image: `https://example.com/${name}.jpg`,
        url: `https://example.com/?u=${name}`,
        buttons: [{ label: name, url: `https://example.com/${name}`, action: name }],
        data: { deep: [{ name }], count: 1 },
      },
      { user },
    );
    expect(rendering).toEqual({
      kind: 'rendered',
      variation: null,
      content: {
        title: 'Ada',
        body: 'Ada',
        subtitle: 'Ada',
        icon: 'https://example.com/Ada.png',
        image: 'https://example.com/Ada.jpg',
        url: 'https://example.com/?u=Ada',
        buttons: [{ label: 'Ada', url: 'https://example.com/Ada', action: 'Ada' }],
        data: { deep: [{ name: 'Ada' }], count: 1 },
      },
    });
  });

  test('that leave nothing of a field leave it out, and a button without a label goes too', () => {
    const nothing = '{{ user.pictureUrl }}';
    const rendering = renderFor({
      title: nothing,
      image: nothing,
      url: nothing,
      buttons: [{ label: nothing }, { label: 'Open', url: nothing }],
    });
    expect(rendering).toMatchObject({
      content: { title: null, image: null, url: null, buttons: [{ label: 'Open', url: null }] },
    });
  });

  test('read what the send gives as data, else what the content’s own data says', () => {
    const rendering = renderFor(
      { body: '{{ data.a }}{{ data.b }}', data: { a: 'content', b: 'content' } },
      { data: { b: 'send' } },
    );
    expect(rendering).toMatchObject({ content: { body: 'contentsend', data: { a: 'content', b: 'content' } } });
  });

  test('leave out what PostgreSQL and JSON cannot hold', () => {
    expect(renderBody('a{{ "\\u0000" }}b{{ "\\ud800" }}')).toBe('ab\ufffd');
  });
});

describe('what cannot be rendered is a failure of that message', () => {
  test.each([
    ['a URL that is none of the web', { url: '{{ data.u }}' }, { u: 'javascript:alert(1)' }, 'URL_INVALID'],
    ['a URL that is none at all', { image: '{{ data.u }}' }, { u: 'cats' }, 'URL_INVALID'],
    ["a button's URL", { buttons: [{ label: 'Go', url: '{{ data.u }}' }] }, { u: 'file:///etc' }, 'URL_INVALID'],
    ['a text of which nothing is left', { body: ' {{ data.none }} ' }, {}, 'BODY_EMPTY'],
    [
      'a filter that cannot do it',
      { body: '{{ "2026-11-30" | date: "%H", data.zone }}' },
      { zone: 'Nowhere/Else' },
      'TEMPLATE_FAILED',
    ],
    [
      'a loop without end',
      {
        body: '{% for i in (1..data.n) %}{% for j in (1..data.n) %}{% for k in (1..data.n) %}{% endfor %}{% endfor %}{% endfor %}x',
      },
      { n: 5000 },
      'TEMPLATE_LIMIT',
    ],
    [
      'a text that becomes too long',
      { body: '{% for i in (1..data.n) %}{{ data.text }}{% endfor %}' },
      { n: 1000, text: 'x'.repeat(1000) },
      'TEMPLATE_LIMIT',
    ],
    ['a list that becomes too long', { body: '{{ (1..data.n) | join }}' }, { n: 1e9 }, 'TEMPLATE_LIMIT'],
    [
      'a text that doubles',
      {
        body: '{% assign a = data.text %}{% for i in (1..data.n) %}{% assign a = a | append: a %}{% endfor %}{{ a | size }}',
      },
      { n: 99, text: 'x' },
      'TEMPLATE_LIMIT',
    ],
    [
      'a list that doubles, of one long text',
      {
        body: '{% assign a = data.list %}{% for i in (1..data.n) %}{% assign a = a | concat: a %}{% endfor %}{% capture c %}{{ a }}{% endcapture %}{{ c | size }}',
      },
      { n: 6, list: ['x'.repeat(60_000)] },
      'TEMPLATE_LIMIT',
    ],
  ])('%s', (_, input, data, code) => {
    expect(renderFor(input, { data })).toMatchObject({ kind: 'failed', code });
  });
});

test('what a text captures counts against its limits, and no more of it is made than they allow', () => {
  let readCount = 0;
  const deep = {
    get text() {
      readCount += 1;
      return 'ä'.repeat(10_000);
    },
  };
  const once = '{% for i in (1..500) %}{{ data.deep.text }}{% endfor %}';
  const body = `{% capture c %}{% if true %}${once}{% endif %}{% endcapture %}{% if c contains "z" %}z{% endif %}x`;
  expect(renderBody(body, { data: { deep } })).toBe('TEMPLATE_LIMIT');
  // One try of a million characters.
  expect(readCount).toBeLessThanOrEqual(101);

  const again = '{% capture c %}{{ c }}{{ c }}{% endcapture %}'.repeat(20);
  expect(renderBody(`{% assign c = data.text %}${again}{{ c | size }}`, { data: { text: 'x' } })).toBe(
    'TEMPLATE_LIMIT',
  );
});

test('a condition of many comparisons ends within the time too', () => {
  let readCount = 0;
  const deep = {
    get list() {
      readCount += 1;
      return Array(8_000).fill(1);
    },
  };
  const condition = Array(1_000).fill('data.deep.list == data.other').join(' and ');
  const data = { deep, other: Array(8_000).fill(1) };
  expect(renderBody(`{% if ${condition} %}y{% endif %}x`, { data })).toBe('TEMPLATE_LIMIT');
  expect(readCount).toBeLessThan(2_000);
});

test('what has taken its time is not tried again, but for a process that was stopped meanwhile', () => {
  let readCount = 0;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const deep = {
    get stopped() {
      readCount += 1;
      // Of no use to anybody, and costs nothing: as when the process is stopped.
      if (readCount === 1) Atomics.wait(pause, 0, 0, 200);
      return '';
    },
    get busy() {
      readCount += 1;
      const before = process.cpuUsage();
      while (process.cpuUsage(before).user < 150_000);
      return '';
    },
  };
  const text = (name: string) => `{{ data.deep.${name} }}{% for i in (1..9) %}x{% endfor %}`;
  expect([renderBody(text('stopped'), { data: { deep } }), readCount]).toEqual(['xxxxxxxxx', 2]);
  readCount = 0;
  expect([renderBody(text('busy'), { data: { deep } }), readCount]).toEqual(['TEMPLATE_LIMIT', 1]);
});

test('the longest texts are read in a moment, however many values they name, and however these stand in each other', () => {
  const began = performance.now();
  const named = [
    '{{ data.a }}'.repeat(5_000),
    `{{ data.a | append: data.a${',data.a'.repeat(9_000)} }}`,
    `{% if data.a${' or data.a'.repeat(6_000)} %}x{% endif %}`,
    `{{ data.a${'[data.a'.repeat(1_000)}${']'.repeat(1_000)} }}`.repeat(7),
  ].map((text) => new Set(parseText(text).paths.map((path) => path.slice(0, 2).join('.'))));
  expect(named).toEqual(Array(4).fill(new Set(['data.a'])));
  // They took twenty times as long when each value was looked up from the beginning of its text.
  expect(performance.now() - began).toBeLessThan(2_000);
});

test('what is captured is said as it would be at once', () => {
  const data = { list: ['a', 1, null], order: { id: 7 } };
  const said = '{{ data.list }} {{ data.order }} {{ data.missing }}.';
  expect(renderBody(`{% capture c %}${said}{% endcapture %}{{ c }}`, { data })).toBe(renderBody(said, { data }));
});

describe('mistakes are refused at the call, where they stand', () => {
  test.each([
    [{ body: '{{ user.firstName' }, 'body'],
    [{ body: '{% if user.firstName %}' }, 'body'],
    [{ body: 'x', title: '{{ user.firstName | shout }}' }, 'title'],
    [{ body: 'x', buttons: [{ label: 'a' }, { label: '{{ }}' }] }, 'buttons.1.label'],
    [{ body: 'x', data: { a: [{ b: '{{ user.fristName }}' }] } }, 'data.a.0.b'],
    [{ body: 'x', variations: [{ language: 'de', body: '{{ user }}' }] }, 'variations.0.body'],
    [{ body: '{{ user[data.name] }}' }, 'body'],
    [{ body: '{{ label[data.name] }}' }, 'body'],
    [{ body: '{{ process.env.HOME }}' }, 'body'],
    [{ body: '{{ global }}' }, 'body'],
    [{ body: '{{ user.__proto__ }}' }, 'body'],
    [{ body: '{{ constructor }}' }, 'body'],
    [{ body: '{% include "a" %}' }, 'body'],
    [{ body: '{% render "a" %}' }, 'body'],
    [{ body: '{% layout "a" %}' }, 'body'],
    [{ body: '{{ "a" | hmac_sha256: "b" }}' }, 'body'],
    [{ body: 'x', variations: [{ body: 'y' }] }, 'variations.0'],
    [{ body: 'x', variations: [{ language: 'German!', body: 'y' }] }, 'variations.0.language'],
    [{ body: 'x', variations: [{ segment: 'vip', body: 'y' }] }, 'variations.0.segment'],
    [{ body: 'x', variations: [{ language: 'de', body: ' ' }] }, 'variations.0.body'],
    [{ body: 'x', url: 'ftp://example.com' }, 'url'],
    [{ body: 'x', buttons: [{ label: ' ' }] }, 'buttons.0.label'],
    [{ body: 'x', buttons: [{ label: 'a', url: 'cats' }] }, 'buttons.0.url'],
  ])('%o', (input, place) => {
    expect(refusalOf(input)).toEqual(['VALUE_INVALID', `content.${place}`]);
  });

  test('so is what comes to no end whoever reads it, and what is too much', () => {
    const endless = '{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}x';
    expect(refusalOf({ body: endless })).toEqual(['LIMIT_EXCEEDED', 'content']);
    expect(refusalOf({ body: 'x', variations: [{ language: 'de', body: endless }] })).toEqual([
      'LIMIT_EXCEEDED',
      'content.variations.0',
    ]);
    expect(refusalOf({ body: 'x', buttons: Array(11).fill({ label: 'a' }) })).toEqual([
      'LIMIT_EXCEEDED',
      'content.buttons',
    ]);
    expect(refusalOf({ body: 'x'.repeat(65_537) })).toEqual(['LIMIT_EXCEEDED', 'content']);
  });

  test('every documented name of a user and of an installation is one', () => {
    const body = [
      ...userNames.map((name) => `{{ user.${name} }}`),
      ...installationNames.map((name) => `{{ installation.${name} }}`),
    ];
    expect(refusalOf({ body: `x${body.join('')}` })).toBeNull();
  });
});

describe('a text has nothing but what it is given', () => {
  test.each([
    '{{ data.__proto__ }}',
    '{{ data.constructor }}',
    '{{ data["constructor"]["constructor"] }}',
    '{{ data.text.constructor }}',
    '{{ data.list.__proto__.map }}',
    '{{ data.toString }}',
    '{{ event.hasOwnProperty }}',
    '{{ user.customAttributes.__proto__ }}',
  ])('%s is nothing', (placeholder) => {
    expect(renderBody(`[${placeholder}]`, { data: { text: 'a', list: [1] }, event: {}, user })).toBe('[]');
  });

  test('a name such as __proto__ is data where it is given, and changes nothing else', () => {
    const data: Record<string, unknown> = JSON.parse('{"__proto__": {"polluted": "yes"}, "constructor": "mine"}');
    expect(renderBody('{{ data.__proto__.polluted }} {{ data.constructor }} {{ data.polluted }}.', { data })).toBe(
      'yes mine .',
    );
    expect(renderFor({ data }, {})).toMatchObject({ kind: 'rendered' });
    expect(Object.hasOwn({}, 'polluted')).toBe(false);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  test('a text cannot change what another one is given', () => {
    const rendering = renderFor(
      {
        body: '{% assign user = "x" %}{{ user }}',
        title: '{{ user.firstName }}',
        data: { a: '{% assign data = 1 %}{{ data }}' },
      },
      { user },
    );
    expect(rendering).toMatchObject({ content: { title: 'Ada', body: 'x', data: { a: '1' } } });
  });

  test('what is filled in is never read as a placeholder again', () => {
    expect(renderBody('{{ data.a }}', { data: { a: '{{ user.firstName }}{% raw %}' }, user })).toBe(
      '{{ user.firstName }}{% raw %}',
    );
  });
});

test('whatever the data, rendering ends within its limits and throws nothing', () => {
  const bodies = [
    '{{ data.a | default: "x" }}{{ data.b.c | join: data.a }}{{ data.a | split: data.b | join }}',
    '{% for x in data.a %}{{ x }}{% for y in data.b limit: data.c %}{{ y | append: x }}{% endfor %}{% endfor %}x',
    '{{ data.a | date: data.b }}{{ data.c | round: data.a | plus: data.b | divided_by: data.c }}x',
    '{{ data.a | replace: data.b, data.c | truncate: data.b | slice: data.c, data.a | url_encode }}x',
    '{{ data.a | sort | map: data.b | uniq | where: data.c, data.a | first | json }}x',
    '{% case data.a %}{% when data.b %}{{ data.c }}{% else %}{{ data.a | size | times: data.b }}{% endcase %}x',
    '{% assign z = data.a | append: data.b %}{% for i in (1..data.c) %}{% assign z = z | append: z %}{% endfor %}{{ z }}x',
  ];
  const value = fc.oneof(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(1e9, -1, 'x'.repeat(5_000), [[]], '%99999d'));
  fc.assert(
    fc.property(fc.constantFrom(...bodies), fc.record({ a: value, b: value, c: value }), (body, data) => {
      const began = performance.now();
      const rendering = renderFor({ body, title: '{{ data.a }}', url: 'https://example.com/{{ data.b }}' }, { data });
      if (rendering.kind === 'rendered') expect(JSON.stringify(rendering.content).length).toBeLessThan(500_000);
      // The limit, and as long again for what is tried again; the rest is this machine's.
      expect(performance.now() - began).toBeLessThan(5_000);
    }),
    { seed: 7, numRuns: 300 },
  );
});

test('whatever the text, it is accepted or refused, and nothing else', () => {
  const piece = fc.constantFrom(
    '{{',
    '}}',
    '{%',
    '%}',
    ' user.firstName ',
    ' if ',
    'endif',
    '|',
    'for i in (1..9)',
    ' data.x',
    '"',
    'raw',
    '-',
    ':',
    ' default: ',
    '[',
    ']',
    '.',
    'label.a',
    '#',
    'ä\ud83d',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }).map((pieces) => `x${pieces.join('')}`),
      (body) => {
        expect([null, 'VALUE_INVALID', 'LIMIT_EXCEEDED']).toContain(refusalOf({ body })?.[0] ?? null);
      },
    ),
    { seed: 7, numRuns: 2_000 },
  );
  const nested = `${'{% if data.x %}'.repeat(2_000)}x${'{% endif %}'.repeat(2_000)}`;
  expect(refusalOf({ body: nested })).not.toEqual(['INTERNAL', '']);
});
