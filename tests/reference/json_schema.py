"""Which values fulfil which schemas, by jsonschema (pip install jsonschema==4.26.0).

Writes json_schema/cases.json: `cases[]`: {`schema`, `values`, `valid`: one a value}. Values are random, built so that each
schema has both kinds.
"""
import json
import random
from pathlib import Path

from jsonschema import Draft7Validator, Draft202012Validator

RISK = {"enum": ["High", "Medium", "Low"]}
SCHEMAS = [
    {"type": "object", "required": ["entity", "risk"], "properties": {"entity": {"type": "string", "minLength": 1}, "risk": RISK}},
    {"type": "object", "additionalProperties": False, "properties": {"risk": RISK, "score": {"type": "number", "minimum": 0, "maximum": 1}}},
    {"type": "object", "properties": {"score": {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 2}}},
    {"type": "object", "properties": {"causes": {"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": True, "items": {"type": "string"}}}},
    {"type": "object", "properties": {"entity": {"pattern": "^A"}, "risk": {"const": "Low"}}},
    {"anyOf": [{"required": ["score"]}, {"properties": {"risk": {"const": "High"}}, "required": ["risk"]}]},
    {"oneOf": [{"required": ["score"]}, {"required": ["risk"]}]},
    {"not": {"required": ["entity"]}},
    {"if": {"properties": {"risk": {"const": "High"}}, "required": ["risk"]}, "then": {"required": ["causes"]}, "else": {"required": ["entity"]}},
    {"minProperties": 2, "maxProperties": 3, "propertyNames": {"maxLength": 6}},
    {"$defs": {"risk": RISK}, "properties": {"risk": {"$ref": "#/$defs/risk"}}, "dependentRequired": {"risk": ["entity"]}},
    {"properties": {"causes": {"prefixItems": [{"type": "string"}, {"type": "number"}], "items": False}}},
    {"properties": {"causes": {"contains": {"type": "number"}, "minContains": 1, "maxContains": 1}}},
    {"properties": {"entity": True}, "required": ["entity"], "unevaluatedProperties": False},
    {"type": ["object", "null"], "patternProperties": {"^s": {"type": ["number", "null"]}}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"r": RISK}, "properties": {"risk": {"$ref": "#/definitions/r"}}, "dependencies": {"risk": ["score"]}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"causes": {"items": [{"type": "string"}], "additionalItems": {"type": "number"}}}},
]


def some(random: random.Random, seed: int):
    if random.random() < 0.05:
        return random.choice([None, 3, "text", [], True])
    fields = {
        "entity": ["Acme", "Bolt", "", 3],
        "risk": ["High", "Low", "low", None],
        "score": [0, 0.5, 1, 2, 3, 1.5, -1, "1", None],
        "causes": [[], ["a"], ["a", "a"], ["a", 1], ["a", 1, 2], [1, 2], ["a", "b", "c"], "a"],
    }
    return {name: random.choice(values) for name, values in fields.items() if random.random() < 0.6}


folder = Path(__file__).parent / "json_schema"
folder.mkdir(exist_ok=True)
cases = []
for seed, schema in enumerate(SCHEMAS):
    draws = random.Random(seed)
    values = [some(draws, seed) for _ in range(40)]
    validator = (Draft7Validator if "draft-07" in schema.get("$schema", "") else Draft202012Validator)(schema)
    valid = [validator.is_valid(value) for value in values]
    assert 0 < sum(valid) < len(valid), schema
    cases.append({"schema": schema, "values": values, "valid": valid})
(folder / "cases.json").write_text(json.dumps({"cases": cases}) + "\n")
