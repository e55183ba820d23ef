-- What a session cost. What was used before prices were kept has no known cost.
ALTER TABLE sessions ADD COLUMN cost_nano_usd INTEGER;
UPDATE sessions SET cost_nano_usd = 0 WHERE input_tokens = 0 AND output_tokens = 0
