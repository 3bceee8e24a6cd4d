import { type Sql, sql } from '../storage/database.ts';

/**
 * Why nothing is sent to a recipient, as a `delivery_reason`, or null when it may be. The one rule for fan-out, for the
 * check right before each send, and for `Recipient.isReachable`.
 *
 * Wants `r` (a row of `recipients`, or nulls) and `i` (its row of `installations`, or nulls) in scope.
 *
 * @param onlyPrimary SQL that says whether a push may only go to a primary device.
 * @param isDeclined SQL that says whether the person does not want the message's topic by the delivery's channel.
 */
export const ineligibility = (onlyPrimary: Sql, isDeclined: Sql = sql`false`): Sql => sql`
  case
    when r.id is null then 'NO_ADDRESS'
    when not r.is_subscribed then 'OPTED_OUT'
    when r.retired_at is not null then 'ADDRESS_GONE'
    when ${isDeclined} then 'TOPIC_OPTED_OUT'
    when r.channel <> 'PUSH' then null
    when not i.is_push_registration_enabled then 'PUSH_DISABLED'
    when i.push_status = 'BLOCKED' then 'PERMISSION_BLOCKED'
    when i.push_status = 'ASK' then 'PERMISSION_ASK'
    when i.push_status = 'SUSPENDED' then 'ADDRESS_GONE'
    when i.address_cipher is null or i.push_status = 'UNSUPPORTED' then 'NO_ADDRESS'
    when ${onlyPrimary} and not i.is_primary_device then 'NOT_PRIMARY'
  end::delivery_reason
`;
