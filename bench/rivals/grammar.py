# Masks of xgrammar and llguidance for the same schemas, tokenizers and documents as bench/grammar.ts, which runs this and reads
# the JSON it prints: µs of CPU a token, the first answer (cold) and the same twenty times more (warm), one thread.
import json
import sys
import time

cases = json.load(open(sys.argv[1]))
results = []


def vocabulary_of(case):
    """The names of a byte-level tokenizer's tokens, by id."""
    tokenizer = json.load(open(case["tokenizer"]))
    names = [""] * case["size"]
    for name, token in tokenizer["model"]["vocab"].items():
        names[token] = name
    for token in tokenizer["added_tokens"]:
        names[token["id"]] = token["content"]
    return names


def follow(start, mask, accept, ids, times):
    begin = time.process_time()
    for _ in range(times):
        state = start()
        for token in ids:
            mask(state)
            accept(state, token)
    return (time.process_time() - begin) / (times * len(ids)) * 1e6


def run(name, case, prepare):
    begin = time.process_time()
    try:
        start, mask, accept = prepare(case)
    except Exception as error:
        results.append({"case": case["name"], "rival": name, "error": str(error)[:100]})
        return
    compile_ms = (time.process_time() - begin) * 1e3
    cold, warm = (follow(start, mask, accept, case["ids"], times) for times in (1, 20))
    results.append({"case": case["name"], "rival": name, "compile": compile_ms, "cold": cold, "warm": warm})


def with_xgrammar(case):
    import xgrammar as xgr
    info = case["_xgr"]
    compiled = xgr.GrammarCompiler(info, max_threads=1).compile_json_schema(json.dumps(case["schema"]), any_whitespace=True)
    bits = xgr.allocate_token_bitmask(1, info.vocab_size)

    def accept(matcher, token):
        assert matcher.accept_token(token)
    return lambda: xgr.GrammarMatcher(compiled), lambda matcher: matcher.fill_next_token_bitmask(bits), accept


def with_llguidance(case):
    import llguidance
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(case["schema"]))

    def accept(matcher, token):
        assert matcher.consume_token(token)
    return lambda: llguidance.LLMatcher(case["_llg"], grammar), lambda matcher: matcher.compute_bitmask(), accept


for case in cases:
    try:
        import xgrammar as xgr
        kind = xgr.VocabType.BYTE_LEVEL
        case["_xgr"] = xgr.TokenizerInfo(vocabulary_of(case), kind, vocab_size=case["size"], stop_token_ids=[case["eos"]])
    except Exception as error:
        print("xgrammar", error, file=sys.stderr)
    try:
        import llguidance
        case["_llg"] = llguidance.LLTokenizer(case["tokenizer"], n_vocab=case["size"], eos_token=case["eos"])
    except Exception as error:
        print("llguidance", error, file=sys.stderr)
    run("xgrammar", case, with_xgrammar)
    run("llguidance", case, with_llguidance)
print(json.dumps(results))
