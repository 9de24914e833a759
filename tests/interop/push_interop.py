"""The real huggingface_hub for tests/interop/push_test.ts: one command, its answer as JSON on the last line.

HF_ENDPOINT, HF_HUB_CACHE and HF_TOKEN are set by the caller.
"""

import json
import sys

from huggingface_hub import HfApi, ModelCard
from huggingface_hub.repocard_data import ModelCardData


def push(folder: str, repo: str) -> dict:
    api = HfApi()
    api.create_repo(repo, private=True)
    commit = api.upload_folder(folder_path=folder, repo_id=repo, commit_message="from Python")
    return {"commit": commit.oid, "private": api.repo_info(repo).private}


def card(repo: str) -> dict:
    """What the Hub's own library makes of a card: fields it knows, and its results as objects."""
    data = ModelCard.load(repo, ignore_metadata_errors=False).data
    assert isinstance(data, ModelCardData)
    return {
        "base_model": data.base_model,
        "datasets": data.datasets,
        "language": data.language,
        "library_name": data.library_name,
        "license": data.license,
        "metrics": data.metrics,
        "pipeline_tag": data.pipeline_tag,
        "tags": data.tags,
        "model_name": data.model_name,
        "results": [[r.task_type, r.dataset_type, r.dataset_name, r.metric_type, r.metric_name, r.metric_value] for r in data.eval_results],
    }


COMMANDS = {"push": push, "card": card}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
