/** What an argument can be: input types of the schema by their names, and ids of segments, topics and apps, which arrive as local ones. */
export type ArgumentType =
  | 'String'
  | 'Boolean'
  | 'Int'
  | 'SegmentId'
  | 'TopicId'
  | 'AppId'
  | 'DateTime'
  | 'FilterValue'
  | 'JSONObject'
  | 'StandardAttribute'
  | 'UserType'
  | 'Channel'
  | 'Platform'
  | 'PushStatus';

/** An input type of several fields. Two of one name are one. */
export interface ArgumentObject {
  name: string;
  description: string;
  /** Exactly one field is given. @default false */
  isOneOf?: boolean;
  fields: Readonly<Record<string, Argument>>;
}

/** What a predicate is told, as the schema shows it. */
export interface Argument {
  type: ArgumentType | ArgumentObject;
  /** A client may give a single one without brackets. @default false */
  isList?: boolean;
  /** @default false */
  isRequired?: boolean;
  description: string;
}
