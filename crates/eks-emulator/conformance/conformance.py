"""Asks the emulator and moto the same questions with boto3, and judges the answers by botocore's models.

Findings, and a failure:
- an answer of the emulator that is not, strictly, of the model's shape, or an error that the model does not list;
- an operation of the emulator that the scenario does not ask for;
- a difference between the emulator and moto that accepted.json does not explain, or an explanation without its
  difference.
"""

import argparse
import json
import logging
import os
import pathlib
import re
import sys

import boto3
import botocore.config
import botocore.exceptions
from moto.eks.responses import EKSResponse
from moto.server import ThreadedMotoServer

import scenario
import shapes

HERE = pathlib.Path(__file__).parent
REGION = "eu-central-1"
KEY = "AKIAFLEETCONTROLLER0"
SECRET = "sandbox-controller-secret-key-00000000000"
MANAGER = "arn:aws:iam::111122223333:role/fleet-manager"
# Every service may answer these, and no model lists them.
COMMON_ERRORS = {"AccessDeniedException", "ThrottlingException", "UnknownOperationException"}
# Errors that the live service answers although the model does not list them, with where that is known from.
UNLISTED_ERRORS = {
    ("CreateNodegroup", "ResourceNotFoundException"): "issue: quoted for a cluster that is not there; moto has it too",
}


class Target:
    """Clients of one endpoint, and what it answered."""

    def __init__(self, name, endpoint):
        self.name = name
        self.endpoint = endpoint
        self.session = None
        self.clients = {}
        self.raw = None
        self.findings = []
        self.steps = {}
        self.operations = set()
        self.session = self.assume()

    def assume(self):
        user = boto3.Session(KEY, SECRET, region_name=REGION)
        sts = user.client("sts", endpoint_url=self.endpoint)
        credentials = sts.assume_role(
            RoleArn=MANAGER, RoleSessionName="conformance", ExternalId="tenant-uid"
        )["Credentials"]
        return boto3.Session(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], region_name=REGION
        )

    def client(self, service):
        if service not in self.clients:
            # Neither retries nor the client's own check of parameters: the other side is to judge.
            config = botocore.config.Config(retries={"total_max_attempts": 1}, parameter_validation=False)
            client = self.session.client(service, endpoint_url=self.endpoint, config=config)
            client.meta.events.register("before-parse", self.keep)
            self.clients[service] = client
        return self.clients[service]

    def keep(self, response_dict, **_):
        self.raw = response_dict

    def call(self, step, service, operation, both=False, **parameters):
        if not both and self.name == "moto":
            return None
        client = self.client(service)
        model = client.meta.service_model.operation_model(operation)
        protocol = client.meta.service_model.resolved_protocol
        method = next(m for m, o in client.meta.method_to_api_mapping.items() if o == operation)
        self.raw = None
        self.operations.add((service, operation))
        answer = None
        try:
            answer = getattr(client, method)(**parameters)
            outcome = "ok"
        except botocore.exceptions.ClientError as error:
            outcome = error.response["Error"]["Code"]
        except botocore.exceptions.ParamValidationError as error:
            outcome = f"not sent: {error}"
        except Exception as error:
            outcome = f"unreadable: {type(error).__name__}"
        members = set()
        if answer is not None and self.raw is not None:
            body = self.raw["body"]
            members = shapes.members(model.output_shape, protocol, body)
            found = shapes.check(model.output_shape, protocol, operation, body)
        else:
            found = self.check_error(service, model, outcome)
        self.findings += [f"{step}: {text}" for text in found]
        if step in self.steps:
            raise SystemExit(f"two steps are named {step!r}")
        self.steps[step] = {"operation": operation, "outcome": outcome, "members": members}
        return answer

    def check_error(self, service, model, outcome):
        if service != "eks" or self.raw is None:
            return []
        listed = {shape.name: shape for shape in model.error_shapes}
        if outcome in COMMON_ERRORS or (model.name, outcome) in UNLISTED_ERRORS:
            return []
        if outcome not in listed:
            return [f"{model.name} does not list the error {outcome}"]
        return shapes.check(listed[outcome], "rest-json", outcome, self.raw["body"])


def differences(emulator, moto):
    """What moto answers otherwise, by step and in one line each."""
    found = []
    for step, theirs in moto.steps.items():
        ours = emulator.steps[step]
        if ours["outcome"] != theirs["outcome"]:
            found.append((step, f"emulator {ours['outcome']}, moto {theirs['outcome']}"))
            continue
        for member in sorted(ours["members"] - theirs["members"]):
            found.append((step, f"only the emulator answers {member}"))
        for member in sorted(theirs["members"] - ours["members"]):
            found.append((step, f"only moto answers {member}"))
    return found


def unexplained(found):
    """Differences that accepted.json does not explain, and explanations that explain nothing."""
    accepted = json.loads((HERE / "accepted.json").read_text())
    used = [False] * len(accepted)
    left = []
    for step, difference in found:
        for index, entry in enumerate(accepted):
            here = step in entry.get("steps", [step])
            if here and any(re.fullmatch(pattern, difference) for pattern in entry["differences"]):
                used[index] = True
                break
        else:
            left.append(f"{step}: {difference}")
    unused = [entry["reason"] for entry, was in zip(accepted, used) if not was]
    return left, unused


def moto_routes():
    """Operations of the scenario's list that moto has after all."""
    return [
        operation
        for operation in sorted(scenario.EMULATOR_ONLY)
        if hasattr(EKSResponse, botocore.xform_name(operation))
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", required=True, help="URL of an emulator whose work takes no time")
    parser.add_argument("--operations", required=True, help="the EKS operations that it has, by commas")
    parser.add_argument("--show-differences", action="store_true", help="print all differences as JSON, and end")
    arguments = parser.parse_args()
    # What moto logs of each request, and of its own failures, is no finding.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

    emulator = Target("emulator", arguments.emulator)
    scenario.steps(emulator.call)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        moto = Target("moto", f"http://{host}:{port}")
        scenario.steps(moto.call)
    finally:
        server.stop()
    found = differences(emulator, moto)
    if arguments.show_differences:
        json.dump(found, sys.stdout, indent=1)
        return 0

    findings = [f"shape: {text}" for text in emulator.findings]
    asked = {operation for service, operation in emulator.operations if service == "eks"}
    for operation in sorted(set(arguments.operations.split(",")) - asked):
        findings.append(f"coverage: nothing asks for {operation}")
    findings += [f"moto has {operation} now: ask both" for operation in moto_routes()]
    left, unused = unexplained(found)
    findings += [f"moto differs: {text}" for text in left]
    findings += [f"accepted.json explains what is not there: {text}" for text in unused]
    for text in findings:
        print(text)
    shared = len(moto.steps)
    print(f"{len(emulator.steps)} calls checked against botocore {boto3.__version__}, {shared} of them also asked of moto; "
          f"{len(found)} accepted differences, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
