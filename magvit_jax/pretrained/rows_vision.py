"""The rows of the networks that see."""

from magvit_jax.pretrained.row import Network, SourceFile

_TORCHVISION = "https://download.pytorch.org/models/"
_TGAN2 = "https://github.com/rezoo/tgan2/releases/download/v1.0/"
_LPIPS = "the Python package lpips 0.1.4, lpips/weights/v0.1/"

VISION: tuple[Network, ...] = (
    Network(
        name="i3d",
        title="I3D (Inception-v1 inflated), RGB, Kinetics-400",
        used_for="FVD",
        sources=(
            SourceFile(
                "i3d_pretrained_400.pt",
                "VideoGPT's port of TF Hub's i3d-kinetics-400: https://drive.google.com/uc?"
                "id=1mQK8KD8G6UWRa5t87SRMm5PVXtlpneJT (also in Hugging Face's space "
                "LanguageBind/Open-Sora-Plan-v1.0.0, opensora/eval/fvd/videogpt/)",
                "55095f049e706479d48e221adcdb145b2b9dc930ba28b081ed72367ffaa32343",
            ),
        ),
        licence="Apache-2.0",
        parameters=12_697_264,
    ),
    Network(
        name="c3d_ucf101",
        title="C3D, Sports-1M, then UCF-101",
        used_for="video IS",
        sources=(
            SourceFile("conv3d_deepnetA_ucf.npz", _TGAN2 + "conv3d_deepnetA_ucf.npz"),
            SourceFile("mean2.npz", _TGAN2 + "mean2.npz"),
        ),
        licence="not stated",
        parameters=78_409_573,
    ),
    Network(
        name="inception",
        title="Inception-v3 of 2015-12-05 (FID variant), ImageNet",
        used_for="FID, IS",
        sources=(
            SourceFile(
                "pt_inception-2015-12-05-6726825d.pth",
                "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                "pt_inception-2015-12-05-6726825d.pth",
                "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            ),
        ),
        licence="Apache-2.0",
        parameters=23_850_960,
    ),
    Network(
        name="lpips_vgg",
        title="VGG16 trunk (ImageNet) with LPIPS v0.1 heads",
        used_for="LPIPS",
        sources=(
            SourceFile(
                "vgg16-397923af.pth",
                _TORCHVISION + "vgg16-397923af.pth",
                "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            ),
            SourceFile(
                "vgg.pth",
                _LPIPS + "vgg.pth",
                "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            ),
        ),
        licence="BSD-3-Clause and ImageNet's terms (trunk), BSD-2-Clause (heads)",
        parameters=14_716_160,
    ),
    Network(
        name="lpips_alex",
        title="AlexNet trunk (ImageNet) with LPIPS v0.1 heads",
        used_for="LPIPS",
        sources=(
            SourceFile(
                "alexnet-owt-7be5be79.pth",
                _TORCHVISION + "alexnet-owt-7be5be79.pth",
                "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            ),
            SourceFile(
                "alex.pth",
                _LPIPS + "alex.pth",
                "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            ),
        ),
        licence="BSD-3-Clause and ImageNet's terms (trunk), BSD-2-Clause (heads)",
        parameters=2_470_848,
    ),
    Network(
        name="resnet50",
        title="ResNet-50, ImageNet",
        used_for="perceptual losses",
        sources=(
            SourceFile(
                "resnet50-0676ba61.pth",
                _TORCHVISION + "resnet50-0676ba61.pth",
                "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
            ),
        ),
        licence="BSD-3-Clause and ImageNet's terms",
        parameters=25_557_032,
    ),
)
