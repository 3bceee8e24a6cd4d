/** What a fake has received so far, in order, and a way to wait for more without sleeping. */
export interface Received<Item> {
  readonly items: readonly Item[];
  add(item: Item): void;
  /** The first `count` items, as soon as there are so many. */
  received(count: number): Promise<Item[]>;
}

export function createReceived<Item>(): Received<Item> {
  const items: Item[] = [];
  const waiting: { count: number; resolve: (items: Item[]) => void }[] = [];
  return {
    items,
    add(item) {
      items.push(item);
      for (const { count, resolve } of waiting.filter((waiter) => waiter.count <= items.length))
        resolve(items.slice(0, count));
    },
    received(count) {
      if (items.length >= count) return Promise.resolve(items.slice(0, count));
      const { promise, resolve } = Promise.withResolvers<Item[]>();
      waiting.push({ count, resolve });
      return promise;
    },
  };
}
