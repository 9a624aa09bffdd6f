"""What the rules of fine-tuning are given."""


def get_method(wildcards):
    return config["finetune"]["methods"][wildcards.method]
