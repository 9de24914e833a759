// What every conversation that a builder makes has to be.

import assert from "node:assert/strict";
import type { Conversation } from "../lib/data/finsight/conversation.ts";

/** A system prompt, then user and assistant in turns, none of them blank; metadata with a distinct identity. */
export function checkTalks(talks: Iterable<Conversation>, type: string): void {
  const ids = new Set<string>();
  for (const { messages, metadata } of talks) {
    assert.equal(metadata.type, type);
    assert.match(metadata.conversation_id, /^[0-9a-f]{64}$/);
    assert.ok(metadata.source.length > 0);
    assert.ok(!ids.has(metadata.conversation_id), "two conversations are the same");
    ids.add(metadata.conversation_id);
    assert.ok(messages.length >= 3 && messages.length % 2 === 1);
    messages.forEach(({ role, content }, i) => {
      assert.equal(role, i === 0 ? "system" : i % 2 ? "user" : "assistant");
      assert.ok(content.trim().length > 0);
    });
  }
}
