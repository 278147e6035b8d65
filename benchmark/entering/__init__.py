"""From a trained model to a folder that can be sent: what a submitter's own machine does.

draft     `oncorobust new-submission`: a folder that keeps the contract from its first minute
convert   `oncorobust convert`: a checkpoint of torch.save becomes safetensors, and none of its code runs
checked   `oncorobust check`: the contract, and the gate of a pull request before there is one
parcel    `oncorobust package`: what goes into the pull request, and what must be uploaded elsewhere
"""
