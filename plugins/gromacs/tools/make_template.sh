#!/bin/sh
# Write a template folder for the GROMACS engine, with GROMACS's own tools.
#
#     sh make_template.sh peptide.pdb template/ [--temperature 300] [--water NM] [--equilibrate PS]
#         [--ff amber99sb-ildn]
#
# PDB is one protein chain with all heavy atoms; hydrogens are placed by pdb2gmx. Without --water the
# peptide is in vacuum (an engine test, no physics); with it, in a box of TIP3P reaching NM beyond the
# peptide, neutralised, PME, minimised and equilibrated for PS (20) ps with the peptide restrained.
# TEMPLATE receives conf.gro, topol.top, posre.itp and md.mdp.
set -eu
usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
[ $# -ge 2 ] || usage
pdb=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
out=$2
shift 2
kelvin=300 water= ps=20 ff=amber99sb-ildn
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
    --temperature) kelvin=$2 ;;
    --water) water=$2 ;;
    --equilibrate) ps=$2 ;;
    --ff) ff=$2 ;;
    *) usage ;;
    esac
    shift 2
done
gmx=${MARSFM_GMX:-gmx}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
run() { "$gmx" -quiet "$@" >said.txt 2>&1 </dev/null || { cat said.txt >&2; exit 1; }; }

answer() {
    echo "$1" >answer.txt
    shift
    "$gmx" -quiet "$@" >said.txt 2>&1 <answer.txt || { cat said.txt >&2; exit 1; }
}

run pdb2gmx -f "$pdb" -ff "$ff" -water tip3p -ignh -o built.gro -p topol.top -i posre.itp -posrefc 5000
common="dt = 0.002
tc-grps = System
tau-t = 1.0
ref-t = $kelvin
integrator = sd
constraints = h-bonds
cutoff-scheme = Verlet"
if [ -z "$water" ]; then
    # Room for the stretched chain, and so much that it never sees its image within the cut-off.
    run editconf -f built.gro -o conf.gro -c -d 2.5 -bt cubic
    printf '%s\n' "$common" "coulombtype = cut-off" "rcoulomb = 2.0" "rvdw = 2.0" "comm-mode = None" >md.mdp
else
    run editconf -f built.gro -o box.gro -c -d "$water" -bt dodecahedron
    run solvate -cp box.gro -cs spc216.gro -o wet.gro -p topol.top
    printf '%s\n' "$common" "coulombtype = PME" "rcoulomb = 0.9" "rvdw = 0.9" "dispcorr = EnerPres" >md.mdp
    printf 'integrator = steep\nnsteps = 500\nemtol = 200\ncoulombtype = PME\nrcoulomb = 0.9\nrvdw = 0.9\n' >em.mdp
    # genion wants a run input; without PME a net charge is no matter.
    sed 's/PME/cut-off/' em.mdp >ions.mdp
    run grompp -f ions.mdp -c wet.gro -p topol.top -o ions.tpr
    answer SOL genion -s ions.tpr -o salty.gro -p topol.top -neutral
    run grompp -f em.mdp -c salty.gro -p topol.top -o em.tpr
    run mdrun -deffnm em -ntmpi 1 -ntomp 1 -pin off
    { cat md.mdp; printf 'define = -DPOSRES\nnsteps = %s\ngen-vel = yes\ngen-temp = %s\ngen-seed = 1\nld-seed = 1\n' "$((ps * 500))" "$kelvin"; } >eq.mdp
    run grompp -f eq.mdp -c em.gro -r em.gro -p topol.top -o eq.tpr
    run mdrun -deffnm eq -ntmpi 1 -ntomp 1 -pin off
    answer System trjconv -f eq.gro -s eq.tpr -o conf.gro -pbc mol
fi
cd "$OLDPWD"
mkdir -p "$out"
for file in conf.gro posre.itp md.mdp topol.top; do cp "$work/$file" "$out/$file"; done
echo "$out: $(sed -n 2p "$out/conf.gro" | tr -d ' ') atoms, $ff"
