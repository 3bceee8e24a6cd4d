-- How an attribute's text begins, for an index of its own: an entry takes 2,700 bytes, and a value may have 16,384. As plain as
-- attribute_text, for the same reason. A text sorts as its beginning does (segments/comparison.ts has the same 256 characters).
create function attribute_beginning(attributes jsonb, name text) returns text
language sql immutable parallel safe
as $$ select left(case when jsonb_typeof(attributes -> name) = 'string' then attributes ->> name end, 256) $$;
