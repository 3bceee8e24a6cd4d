import { builder } from '../graphql/builder.ts';
import { PlatformEnum } from '../installations/schema.ts';
import { ChannelEnum } from '../users/schema.ts';
import { type Warning, warningEffects } from './find-warnings.ts';

const WarningEffectEnum = builder.enumType('WarningEffect', {
  description: 'What becomes of a field of a message.',
  values: {
    DROPPED: { description: warningEffects.DROPPED },
    CUT: { description: warningEffects.CUT },
    DEPENDS: { description: warningEffects.DEPENDS },
    SPLIT: { description: warningEffects.SPLIT },
    FAILS: { description: warningEffects.FAILS },
  },
});

export const WarningObject = builder.objectRef<Warning>('NotificationWarning').implement({
  description: 'What a client drops or cuts of a message.',
  fields: (t) => ({
    channel: t.expose('channel', { type: ChannelEnum, description: 'By which channel.' }),
    platform: t.expose('platform', {
      type: PlatformEnum,
      nullable: true,
      description: 'Of a push, to which clients; else null.',
    }),
    field: t.exposeString('field', { description: 'Field of the content; `payload`: all of a push together.' }),
    effect: t.expose('effect', { type: WarningEffectEnum, description: 'What becomes of it.' }),
    message: t.exposeString('message', { description: 'Why. Its words may change.' }),
  }),
});
