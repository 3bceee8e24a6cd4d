/** Chances that look random, and are the same whenever the seed is. */
export interface Random {
  /** From 0 to below 1. */
  next(): number;
  /** A whole number, both ends included. */
  integer(from: number, to: number): number;
  /** True this often of all times, from 0 to 1. */
  chance(probability: number): boolean;
  /** One of several; fails when there is none. */
  pick<Item>(items: readonly Item[]): Item;
  /** The same in another order. */
  shuffle<Item>(items: readonly Item[]): Item[];
}

/** Tommy Ettinger's mulberry32. @param seed a whole number */
export function createRandom(seed: number): Random {
  let state = seed;

  function next() {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  const integer = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    integer,
    chance: (probability) => next() < probability,
    pick(items) {
      const item = items[integer(0, items.length - 1)];
      if (item === undefined) throw new Error('There is nothing to pick from.');
      return item;
    },
    shuffle: (items) =>
      items
        .map((item) => ({ item, place: next() }))
        .sort((a, b) => a.place - b.place)
        .map(({ item }) => item),
  };
}
