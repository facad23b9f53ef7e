"""Say as JSON what the CCP-EM Pipeliner finds in the project it is started in; run by its own Python."""

import json
import sys

from pipeliner.api.manage_project import PipelinerProject
from pipeliner.job_factory import read_job
from pipeliner.project_graph import ProjectGraph


def nodes(found):
    return sorted([node.name, node.type] for node in found)


def jobs():
    """Return every job of the project."""
    project = PipelinerProject()
    with ProjectGraph(name=project.pipeline_name, read_only=True) as graph:
        found = [
            {
                "name": process.name,
                "type": process.type,
                "status": process.status,
                "alias": process.alias,
                "inputs": nodes(process.input_nodes),
                "outputs": nodes(process.output_nodes),
            }
            for process in graph.process_list
        ]
        return {"counter": graph.job_counter, "jobs": found}


def text(option):
    """Return the value of an option, or None if it must have one and has none."""
    try:
        return option.get_string()
    except ValueError:
        return None


def options(*job_stars):
    """Return type and options of the jobs it would make of job.star files."""
    found = {path: read_job(path) for path in job_stars}
    return {
        path: {"type": job.PROCESS_NAME, "options": {name: text(option) for name, option in job.joboptions.items()}}
        for path, job in found.items()
    }


QUESTIONS = {"jobs": jobs, "options": options}

if __name__ == "__main__":
    print(json.dumps(QUESTIONS[sys.argv[1]](*sys.argv[2:])))  # noqa: T201
