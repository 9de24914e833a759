"""The real huggingface_hub for tests/interop/hub_test.ts: one command, its answer as JSON on the last line.

HF_ENDPOINT and HF_HUB_CACHE are set by the caller.
"""

import json
import sys

import filelock
import huggingface_hub
from huggingface_hub import HfApi, errors, hf_hub_download, scan_cache_dir, snapshot_download


def snapshot(repo: str, kind: str, revision: str, *patterns: str) -> dict:
    folder = snapshot_download(repo, repo_type=kind, revision=revision, allow_patterns=list(patterns) or None)
    return {"folder": folder}


def files(repo: str, kind: str, revision: str, *names: str) -> dict:
    """Each file through hf_hub_download, from the cache alone."""
    return {name: open(hf_hub_download(repo, name, repo_type=kind, revision=revision, local_files_only=True), "rb").read().hex()
            for name in names}


def scan() -> dict:
    info = scan_cache_dir()
    return {
        "warnings": [str(warning) for warning in info.warnings],
        "repos": {
            f"{repo.repo_type}s/{repo.repo_id}": {
                revision.commit_hash: {"refs": sorted(revision.refs), "files": sorted(file.file_name for file in revision.files),
                                       "size": revision.size_on_disk}
                for revision in repo.revisions
            }
            for repo in info.repos
        },
    }


def refusal(repo: str, kind: str, revision: str, name: str) -> dict:
    try:
        hf_hub_download(repo, name, repo_type=kind, revision=revision)
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
        return {"error": type(error).__name__}
    return {"error": None}


def listing(repo: str, kind: str, revision: str) -> dict:
    entries = HfApi().list_repo_tree(repo, repo_type=kind, revision=revision, recursive=True)
    return {entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id for entry in entries if hasattr(entry, "blob_id")}


def hold(path: str) -> dict:
    """Takes huggingface_hub's lock, says so, and lets it go when a line comes."""
    with filelock.FileLock(path):
        print("held", flush=True)
        sys.stdin.readline()
    return {}


def model(repo: str) -> dict:
    """The model as transformers loads it by its name, without network."""
    from transformers import AutoModelForCausalLM

    return {"parameters": AutoModelForCausalLM.from_pretrained(repo, local_files_only=True).num_parameters()}


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    answer = {"snapshot": snapshot, "files": files, "scan": scan, "refusal": refusal, "listing": listing, "hold": hold, "model": model}[command]
    print(json.dumps({"version": huggingface_hub.__version__, "answer": answer(*arguments)}))
