"""How to put a certificate to use: texts to paste, made of its own names and files, for servers and trust stores."""

from certificates.services.deployment.kit import DeployKit, KitFile, deploy_kit
from certificates.services.deployment.recipe import Block, Group, Recipe

__all__ = ["Block", "DeployKit", "Group", "KitFile", "Recipe", "deploy_kit"]
