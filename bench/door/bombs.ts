/** How much the bomb would cost; how long it is differs little. */
export type BombSize = 'small' | 'large';

type Bomb = (nonce: number, size: BombSize) => string;

/** Documents that ask for too much in a few words. */
export const bombs = {
  /** 100 users' installations' users' …: a hundred times as much with each level. */
  'pages within pages': (nonce, size) => {
    const levels = size === 'small' ? 2 : 4;
    return `query Q${nonce} { users(first: 100) { nodes ${'{ installations(first: 100) { nodes { user '.repeat(levels)}{ id }${' } } }'.repeat(levels)} } }`;
  },
  /** Each fragment is the one before, twice. */
  'fragments of fragments': (nonce, size) => {
    const count = size === 'small' ? 20 : 30;
    const others = Array.from({ length: count }, (_, i) => `fragment F${i + 1} on App { ...F${i} ...F${i} }`);
    return `query Q${nonce} { app { ...F${count} } } fragment F0 on App { name } ${others.join(' ')}`;
  },
  /** One costly page, again and again under other names. */
  aliases: (nonce, size) => {
    const count = size === 'small' ? 60 : 80;
    const fields = Array.from({ length: count }, (_, i) => `a${i}: users(first: 100) { nodes { id } }`);
    return `query Q${nonce} { ${fields.join(' ')} }`;
  },
} satisfies Record<string, Bomb>;

/** As long a document, of which half is the bomb's, and the rest nothing. */
export function plainOf(bomb: Bomb): Bomb {
  return (nonce, size) => {
    const text = bomb(nonce, size);
    return `${text.slice(0, text.length / 2).padEnd(text.length - 1, ' ')}%`;
  };
}
