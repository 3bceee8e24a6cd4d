import type { PositionItem } from '../stream/hub/event-stream.ts';
import { builder } from './builder.ts';

const StreamStateEnum = builder.enumType('StreamState', {
  description: 'What a subscriber knows from here on.',
  values: {
    LIVE: { description: 'Everything from now on will come.' },
    RECOVERED: { description: 'Everything after the given cursor has come, and everything from now on will.' },
    GAP: {
      description:
        'What followed the given cursor is no longer known. What is still kept comes next, from the oldest on.',
    },
  },
});

export const StreamPositionObject = builder.objectRef<PositionItem>('StreamPosition').implement({
  description: 'Where a subscription stands. Who has seen LIVE or RECOVERED misses nothing from there on.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: 'For `after`, to go on from here.' }),
    state: t.expose('state', { type: StreamStateEnum, description: 'What is known from here on.' }),
  }),
});
