/** Texts one after another, made by their number. */
export const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

/** 300 fragments, of which each spreads the next one twice: 2^300 fields in all. */
const exponentialFragments = `{ ...F0 } ${repeat(300, (index) => {
  return `fragment F${index} on Query { ${index < 299 ? `...F${index + 1} ...F${index + 1}` : '__typename'} }`;
})}`;

/** Documents that would cost much more than they are long, by what they are. Each is refused as too costly. */
export const bombs: Readonly<Record<string, string>> = {
  '6,000 tokens': `{ ${repeat(6_000, () => '__typename')} }`,
  '300,000 characters of comments': `{ __typename } ${'#\n'.repeat(150_000)}`,
  '20,000 open braces': '{'.repeat(20_000),
  'inline fragments 70 levels deep': `${'{ ... '.repeat(70)}{ __typename ${'} '.repeat(71)}`,
  'fields 17 levels deep': `{ users { ${'nodes { installations { '.repeat(4)} ${repeat(4, () => 'nodes { user {')} id`
    .concat(' } }'.repeat(8))
    .concat(' } }'),
  'fields 17 levels deep through fragments': `{ ...F0 } ${repeat(17, (index) => {
    const type = ['Query', 'Viewer'][index === 0 ? 0 : 1];
    return `fragment F${index} on ${type} { viewer { ${index < 16 ? `...F${index + 1}` : 'kind'} } }`;
  })}`,
  '51 aliases': `{ ${repeat(51, (index) => `a${index}: viewer { kind }`)} }`,
  '51 aliases of __typename': `{ ${repeat(51, (index) => `a${index}: __typename`)} }`,
  '51 aliases in fragments': `{ ...A ...B } fragment A on Query { ${repeat(26, (index) => `a${index}: __typename`)} }
    fragment B on Query { ${repeat(25, (index) => `b${index}: __typename`)} }`,
  '51 directives': `{ ${repeat(51, () => '__typename @skip(if: false)')} }`,
  '51 directives of one field': `{ __typename ${repeat(51, () => '@skip(if: false)')} }`,
  '51 directives that there are not, on variables': `query (${repeat(51, (index) => `$v${index}: Int @d`)}) { __typename }`,
  '501 fields': `{ ${repeat(501, () => '__typename')} }`,
  '2^300 fields by fragments': exponentialFragments,
  '2^10 fields by fragments': `{ ...F0 } ${repeat(11, (index) => {
    return `fragment F${index} on Query { ${index < 10 ? `...F${index + 1} ...F${index + 1}` : '__typename'} }`;
  })}`,
  '301 operations with one field each, in a fragment': `${repeat(301, (index) => `query Q${index} { ...F }`)}
    fragment F on Query { __typename }`,
  'a chain of 380 fragments, begun 900 times': `{ users { ${repeat(900, () => '...F0')} } } ${repeat(380, (index) => {
    return `fragment F${index} on QueryUsersConnection { ${index < 379 ? `...F${index + 1}` : 'totalCount'} }`;
  })}`,
};
